// The local runtime's process: reads one JSON object from standard input, starts the workers, serves the control API,
// and ends with its standard input.
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { listen } from "./control.mjs";
import { emit } from "../common/events.mjs";
import { Failure } from "../common/failure.mjs";
import { openFronts } from "./front.mjs";
import { openHyperdrive } from "../hyperdrive/hyperdrive.mjs";
import { Runtime } from "./runtime.mjs";

process.umask(0o077); // files of this process and workerd are private

let runtime;
let hyperdrive;
let ending;

function end(code) {
  ending ??= Promise.resolve(runtime?.stop())
    .catch(() => {})
    .then(() => hyperdrive?.close())
    .then(() => process.exit(code));
  return ending;
}

/** The first line is the configuration; the end of the input ends the server. */
function readConfig() {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: process.stdin });
    lines.once("line", resolve);
    lines.once("close", () => {
      reject(new Failure("No configuration on standard input."));
      end(0);
    });
  });
}

function parseConfig(line) {
  try {
    return JSON.parse(line);
  } catch {
    throw new Failure("The configuration on standard input is not a JSON object in one line.");
  }
}

async function main() {
  const started = performance.now();
  const config = parseConfig(await readConfig());
  hyperdrive = await openHyperdrive(config.databaseUrl);
  const { fronts, vars } = await openFronts(config.fronts, config.vars);
  runtime = new Runtime({ ...config, vars, databaseUrl: hyperdrive.url });
  const token = randomBytes(32).toString("hex"); // of this start; only the parent process gets it
  const url = await listen(runtime, config.port ?? 0, token);
  await runtime.start();
  const workers = await runtime.load();
  fronts.forEach((front) => front.serve(runtime));
  const startMs = Math.round(performance.now() - started);
  const pids = runtime.processes().map(({ pid }) => pid);
  const addresses = Object.fromEntries(fronts.map((front) => [front.env, front.url]));
  emit("ready", { url, token, databaseUrl: hyperdrive.url, startMs, workers, pids, addresses });
}

function refuse(error) {
  if (ending) return;
  const text = error instanceof Failure ? error.message : (error.stack ?? String(error));
  emit("error", { text, traceback: error.traceback ?? null });
  end(1);
}

process.on("SIGTERM", () => end(0));
process.on("SIGINT", () => end(0));
process.on("unhandledRejection", refuse);
process.on("uncaughtException", refuse);
main().catch(refuse);
