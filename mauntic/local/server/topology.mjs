// Reads wrangler.toml with wrangler's own reader, so that the local runtime and a deployment agree.
import { dirname } from "node:path";
import { Failure } from "../common/failure.mjs";
import { bindingsOf, localBindings, variable } from "./bindings.mjs";
import { fromHere } from "./packages.mjs";

/** The workers, one per env: names, build, compatibility, bindings, crons and consumers. */
export function readTopology({ config, envs, databaseUrl, vars = {} }) {
  const wrangler = fromHere("wrangler");
  const names = envs ?? readOr(config, () => wrangler.unstable_readConfig({ config })).definedEnvironments;
  if (!names?.length) throw new Failure(`${config} defines no [env.NAME]: name at least one worker in it.`);
  return names.map((env) => readOr(config, () => quietly(() => readWorker(wrangler, config, env, databaseUrl, vars))));
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
  const declared = wrangler.unstable_convertConfigBindingsToStartWorkerBindings(settings) ?? {};
  const variables = { ...wrangler.unstable_getVarsForDev(settings.configPath, undefined, settings.vars, env), ...vars };
  return {
    env,
    name: settings.name,
    folder: dirname(settings.configPath ?? config),
    main: settings.main,
    build: settings.build,
    compatibilityDate: settings.compatibility_date,
    compatibilityFlags: settings.compatibility_flags,
    bindings: { ...localBindings(env, declared, databaseUrl), ...variableBindings(variables) },
    crons: settings.triggers.crons ?? [],
    consumers: Object.fromEntries((settings.queues.consumers ?? []).map(consumerOf)),
  };
}

/** A variable of wrangler's reader is a binding already; one of the command line is a value. */
const variableBindings = (variables) =>
  Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, variable(value?.type ? value.value : value)]),
  );

const consumerOf = (consumer) => [
  consumer.queue,
  defined({
    deadLetterQueue: consumer.dead_letter_queue,
    maxBatchSize: consumer.max_batch_size,
    maxBatchTimeout: consumer.max_batch_timeout,
    maxRetries: consumer.max_retries,
    retryDelay: consumer.retry_delay,
  }),
];

/** wrangler writes to standard output, which carries events. */
function quietly(read) {
  const { log, warn, info } = console;
  Object.assign(console, { log() {}, warn() {}, info() {} });
  try {
    return read();
  } finally {
    Object.assign(console, { log, warn, info });
  }
}

/** Every queue that a worker sends to or consumes, with its consumer's settings. */
export function queuesOf(workers) {
  const queues = Object.create(null); // a queue may have the name of a JavaScript property
  const named = (name) => (queues[name] ??= { consumer: null, maxRetries: 0 });
  for (const { name: worker, bindings, consumers } of workers) {
    for (const [, { name: queue, deliveryDelay }] of bindingsOf(bindings, "queue")) {
      named(queue).deliveryDelay ??= deliveryDelay;
    }
    for (const [queue, settings] of Object.entries(consumers)) {
      Object.assign(named(queue), DEFAULTS, settings, { consumer: worker });
      if (settings.deadLetterQueue) named(settings.deadLetterQueue);
    }
  }
  return queues;
}

const DEFAULTS = { maxBatchSize: 5, maxBatchTimeout: 1, maxRetries: 2 }; // defaults of the local broker
const defined = (settings) =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
