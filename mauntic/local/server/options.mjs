// Converts the topology to the options of one miniflare: every worker in one workerd, each as a host that runs Pyodide,
// and the control worker in front of them.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { bindingsOf, variable } from "./bindings.mjs";
import { countInBroker } from "./counting.mjs";
import { fromHere, resolve } from "./packages.mjs";
import { repaired } from "./repairs.mjs";

const HOST = [
  "in_workerd/host.mjs", // the main module must be first
  "in_workerd/wait_until.mjs",
  "in_workerd/batch.mjs",
  "in_workerd/bindings.mjs",
  "in_workerd/console.mjs",
  "in_workerd/interpreter.mjs",
  "in_workerd/outbound.mjs",
  "common/pack.mjs",
  "in_workerd/prelude.mjs",
  "in_workerd/webassembly.mjs",
];
const CONTROL = ["in_workerd/control_worker.mjs", "in_workerd/message_counts.mjs", "in_workerd/tails.mjs"];
export const CONTROL_NAME = "local-control";

export function loadMiniflare() {
  countInBroker();
  const wrangler = fromHere("wrangler", resolve);
  return fromHere("miniflare", createRequire(wrangler)); // the one in wrangler
}

const own = (path) => [path, esm(readFileSync(new URL(`../${path}`, import.meta.url), "utf8"))];
const esm = (contents) => ({ type: "esm", contents });

/** Pyodide's files are next to the host, because Pyodide imports them relatively. */
function pyodideModules() {
  const read = (path) => readFileSync(fromHere(`pyodide/${path}`, resolve));
  return [
    ["in_workerd/pyodide.asm.mjs", esm(repaired(read("pyodide.asm.mjs").toString()))],
    ["in_workerd/pyodide.mjs", esm(read("pyodide.mjs").toString())],
    ["in_workerd/pyodide.asm.wasm", { type: "wasm", contents: read("pyodide.asm.wasm") }], // compiled at the start
  ];
}

/** The modules of a worker; the first is the main module. */
export const manifest = (modules) => ({ mainModule: modules[0][0], modules: Object.fromEntries(modules) });

const withoutPythonFlags = (flags = []) => flags.filter((flag) => !flag.startsWith("python"));

/** `answer(worker, request)` serves the hosts' requests to the server: files, metric points. */
export function hostWorkers({ workers, flags = [], allowedHosts = [], connectedHosts = {}, deliverTwice = false }, answer) {
  const modules = manifest([...HOST.map(own), ...pyodideModules()]);
  return workers.map((worker) => ({
    config: {
      ...workerConfig(worker, modules, [...withoutPythonFlags(worker.compatibilityFlags), ...flags]),
      env: {
        ...worker.bindings,
        LOCAL_NAME: variable(worker.name),
        LOCAL_ALLOWED_HOSTS: variable(allowedHosts),
        LOCAL_CONNECTED_HOSTS: variable(connectedHosts),
        LOCAL_DELIVERIES: variable(deliverTwice ? 2 : 1),
        LOCAL_QUEUES: variable(JSON.stringify(namesOf(worker.bindings, "queue"))),
        LOCAL_DATASETS: variable(JSON.stringify(namesOf(worker.bindings, "analytics-engine-dataset"))),
        LOCAL_COUNTS: { type: "worker", worker: CONTROL_NAME, exportName: "Counts" },
        LOCAL_SERVER: { type: "fetcher", handler: (request) => answer(worker.name, request) },
      },
    },
    dev: { unsafeEvalBinding: "LOCAL_EVAL" },
  }));
}

/** Common options of all workers: name, compatibility, modules, bindings and consumers. */
export function workerConfig({ name, compatibilityDate, bindings, consumers, crons }, modules, flags) {
  return {
    name,
    compatibilityDate,
    compatibilityFlags: flags,
    manifest: modules,
    env: bindings,
    exports: {},
    triggers: [
      ...crons.map((schedule) => ({ type: "scheduled", schedule })),
      ...Object.entries(consumers).map(([queue, settings]) => ({ type: "queue", name: queue, ...settings })),
    ],
  };
}

const namesOf = (bindings, type) =>
  Object.fromEntries(bindingsOf(bindings, type).map(([binding, { name }]) => [binding, name]));

/** The control worker: a producer for every queue, the counts, and a service binding to every host. */
export function controlWorker(queues, hosts, compatibilityDate) {
  const bound = Object.entries(queues).map(([name, settings], index) => [
    name,
    { ...settings, binding: `QUEUE_${index}` },
  ]);
  const producer = ([name, { binding, deliveryDelay }]) => [binding, { type: "queue", name, deliveryDelay }];
  const host = (name) => [`HOST_${name}`, { type: "worker", worker: name, exportName: "Runtime" }];
  return {
    config: {
      name: CONTROL_NAME,
      compatibilityDate,
      manifest: manifest(CONTROL.map(own)),
      env: {
        QUEUES: variable(JSON.stringify(Object.fromEntries(bound))),
        HAS_HOSTS: variable(hosts.length > 0),
        ...Object.fromEntries(hosts.map(host)),
        ...Object.fromEntries(bound.map(producer)),
      },
      exports: {},
    },
  };
}

/** The options that all workers share. The control worker is first, so miniflare sends requests to it. */
export function miniflareOptions({ workers, persist, log, onLine, onRestart }) {
  return {
    workers,
    host: "127.0.0.1",
    port: 0,
    log,
    cf: false,
    enableDevRegistry: false,
    handleStructuredLogs: onLine,
    unsafeHandleRuntimeRestart: onRestart,
    ...(persist && { resourcePersistencePath: persist }),
    telemetry: { enabled: false },
  };
}
