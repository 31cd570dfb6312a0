// Events on standard output: one JSON object per line, for the supervisor.
import { MARK } from "../in_workerd/console.mjs";

export function emit(event, fields = {}) {
  process.stdout.write(lineOf(event, fields));
}

const lineOf = (event, fields) => `${JSON.stringify({ event, ...fields })}\n`;

const LEVELS = { debug: "info", log: "info", info: "info", warn: "warn", error: "error" };
// workerd's line about an exception that its host has already reported with the traceback.
const REPORTED = /^(Uncaught|workerd\/io\/|.*jsg\.Error: )/;

/** A line of a worker has its name; other lines are workerd's. */
export function onRuntimeLine({ level, message }) {
  if (message.startsWith(MARK)) emitTexts(JSON.parse(message.slice(MARK.length)));
  else if (!REPORTED.test(message)) emit("log", { worker: null, level: LEVELS[level] ?? "info", text: message });
}

/** A line of runtime native, which has no host that marks it: this project's lines contain their worker's name if
 * possible. */
export function onNativeLine({ level, message }) {
  emit("log", { worker: workerOf(message), level: LEVELS[level] ?? "info", text: message });
}

function workerOf(message) {
  if (!message.startsWith("{")) return null;
  try {
    const { worker } = JSON.parse(message);
    return typeof worker === "string" ? worker : null;
  } catch {
    return null;
  }
}

function emitTexts({ texts, ...fields }) {
  process.stdout.write(texts.map((text) => lineOf("log", { ...fields, text })).join(""));
}
