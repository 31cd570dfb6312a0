// What wrangler.toml says, read by wrangler's own reader, so that the local runtime believes what a
// deployment would.
import { dirname } from "node:path";
import { Failure } from "../common/failure.mjs";
import { fromHere } from "./packages.mjs";

const UNUSED_DATABASE = "postgresql://none:none@127.0.0.1:9/none"; // refuses connections

/** [{env, name, folder, main, build, flags, options}], one an env. */
export function readTopology({ config, envs, databaseUrl, vars = {} }) {
  const wrangler = fromHere("wrangler");
  const names = envs ?? readOr(config, () => wrangler.unstable_readConfig({ config })).definedEnvironments;
  if (!names?.length) throw new Failure(`${config} defines no [env.NAME]: name at least one worker in it.`);
  return names.map((env) => readOr(config, () => readWorker(wrangler, config, env, databaseUrl, vars)));
}

function readOr(config, read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof Failure) throw error;
    const [first, ...rest] = error.message.trim().split("\n");
    const detail = rest.map((line) => line.trim()).filter(Boolean).join(" ");
    throw new Failure(`${config} cannot be read: ${first} ${detail}`.trim());
  }
}

function readWorker(wrangler, config, env, databaseUrl, vars) {
  const settings = wrangler.unstable_readConfig({ config, env });
  if (!settings.main) throw new Failure(`${config}: [env.${env}] has no \`main\`.`);
  for (const { binding } of settings.hyperdrive) {
    const variable = `CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_${binding}`;
    process.env[variable] = databaseUrl ?? UNUSED_DATABASE;
  }
  const { workerOptions } = quietly(() => wrangler.unstable_getMiniflareWorkerOptions(config, env));
  const { modulesRules: _rules, ...options } = workerOptions;
  options.bindings = { ...options.bindings, ...vars };
  const folder = dirname(settings.configPath ?? config);
  return { env, name: settings.name, folder, main: settings.main, build: settings.build, options };
}

/** wrangler speaks on standard output, which carries our events. */
function quietly(read) {
  const { log, warn, info } = console;
  Object.assign(console, { log() {}, warn() {}, info() {} });
  try {
    return read();
  } finally {
    Object.assign(console, { log, warn, info });
  }
}

/** Every queue that a worker sends to or consumes, with what its consumer's settings say. */
export function queuesOf(workers) {
  const queues = Object.create(null); // a name is a key, whatever JavaScript knows by that name
  const named = (name) => (queues[name] ??= { consumer: null, maxRetries: 0 });
  for (const { name: worker, options } of workers) {
    for (const { queueName, deliveryDelay } of Object.values(options.queueProducers ?? {})) {
      named(queueName).deliveryDelay ??= deliveryDelay;
    }
    for (const [queue, settings] of Object.entries(options.queueConsumers ?? {})) {
      Object.assign(named(queue), DEFAULTS, defined(settings), { consumer: worker });
      if (settings.deadLetterQueue) named(settings.deadLetterQueue);
    }
  }
  return queues;
}

const DEFAULTS = { maxBatchSize: 5, maxBatchTimeout: 1, maxRetries: 2 }; // the local broker's
const defined = (settings) =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
