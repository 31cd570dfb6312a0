// From the topology to the options of one miniflare: every worker in one workerd, each as a host
// that runs Pyodide, and the ledger in front of them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { countInBroker } from "./counting.mjs";
import { fromHere, resolve } from "./packages.mjs";
import { repaired } from "./repairs.mjs";

const HOST = [
  "in_workerd/host.mjs", // the main module comes first
  "in_workerd/wait_until.mjs",
  "in_workerd/batch.mjs",
  "in_workerd/bindings.mjs",
  "in_workerd/console.mjs",
  "in_workerd/interpreter.mjs",
  "common/pack.mjs",
  "in_workerd/prelude.mjs",
  "in_workerd/webassembly.mjs",
];
const LEDGER = ["in_workerd/control_worker.mjs", "in_workerd/message_counts.mjs", "in_workerd/tails.mjs"];
export const LEDGER_NAME = "local-ledger";

export function loadMiniflare() {
  countInBroker();
  const wrangler = fromHere("wrangler", resolve);
  return fromHere("miniflare", createRequire(wrangler)); // the one that wrangler ships
}

const own = (path) => ({
  type: "ESModule",
  path,
  contents: readFileSync(new URL(`../${path}`, import.meta.url), "utf8"),
});

function pyodideModule(path, type) {
  const contents = readFileSync(fromHere(`pyodide/${path}`, resolve));
  return { type, path: `in_workerd/${path}`, contents: type === "ESModule" ? contents.toString() : contents };
}

function repairedModule(path) {
  const module = pyodideModule(path, "ESModule");
  return { ...module, contents: repaired(module.contents) };
}

function hostModules() {
  return [
    ...HOST.map(own),
    repairedModule("pyodide.asm.mjs"),
    pyodideModule("pyodide.mjs", "ESModule"),
    pyodideModule("pyodide.asm.wasm", "CompiledWasm"), // workerd compiles it while it starts
  ];
}

const withoutPythonFlags = (flags = []) => flags.filter((flag) => !flag.startsWith("python"));

/** `answer(worker, request)` serves what the hosts ask of the server: their files, metric points. */
export function hostWorkers({ workers, flags = [] }, answer) {
  const modules = hostModules();
  return workers.map(({ name, options }) => ({
    ...options,
    name,
    modules,
    compatibilityFlags: [...withoutPythonFlags(options.compatibilityFlags), ...flags],
    unsafeEvalBinding: "LOCAL_EVAL",
    bindings: {
      ...options.bindings,
      LOCAL_NAME: name,
      LOCAL_QUEUES: JSON.stringify(bindingsOf(options.queueProducers, "queueName")),
      LOCAL_DATASETS: JSON.stringify(bindingsOf(options.analyticsEngineDatasets, "dataset")),
    },
    serviceBindings: {
      ...options.serviceBindings,
      LOCAL_LEDGER: { name: LEDGER_NAME, entrypoint: "Ledger" },
      LOCAL_SERVER: (request) => answer(name, request),
    },
  }));
}

function bindingsOf(declared = {}, field) {
  return Object.fromEntries(Object.entries(declared).map(([name, value]) => [name, value[field]]));
}

/** The control worker: a producer for every queue, the counts, and a way to every host. */
export function ledgerWorker(queues, hosts, compatibilityDate) {
  const bound = Object.entries(queues).map(([name, settings], index) => [
    name,
    { ...settings, binding: `QUEUE_${index}` },
  ]);
  return {
    name: LEDGER_NAME,
    modules: LEDGER.map(own),
    compatibilityDate,
    bindings: { QUEUES: JSON.stringify(Object.fromEntries(bound)), HAS_HOSTS: hosts.length > 0 },
    serviceBindings: Object.fromEntries(
      hosts.map((name) => [`HOST_${name}`, { name, entrypoint: "Runtime" }]),
    ),
    queueProducers: Object.fromEntries(
      bound.map(([queueName, { binding, deliveryDelay }]) => [binding, { queueName, deliveryDelay }]),
    ),
  };
}

/** What all workers share. The ledger is the first worker: miniflare sends it our own requests. */
export function miniflareOptions({ workers, persist, log, onLine, onRestart }) {
  return {
    workers,
    host: "127.0.0.1",
    port: 0,
    log,
    cf: false,
    handleStructuredLogs: onLine,
    unsafeHandleRuntimeRestart: onRestart,
    ...(persist && { resourcePersistencePath: persist }),
    telemetry: { enabled: false },
  };
}
