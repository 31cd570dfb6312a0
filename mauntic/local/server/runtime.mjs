// The running workers: one miniflare, started, loaded, reloaded and ended.
import { pack } from "../common/pack.mjs";
import { Door } from "./door.mjs";
import { Failure } from "../common/failure.mjs";
import { bindingsOf } from "./bindings.mjs";
import { brokerLog } from "./broker.mjs";
import { limitedDuring } from "./limits.mjs";
import { emit, onNativeLine, onRuntimeLine } from "../common/events.mjs";
import { CONTROL_NAME, controlWorker, hostWorkers, loadMiniflare, miniflareOptions } from "./options.mjs";
import { nativeWorkers } from "./native.mjs";
import { Bytecode } from "./bytecode.mjs";
import { PointStore } from "./points.mjs";
import { runtimeProcesses, watchOver } from "./processes.mjs";
import { insideFiles, stage, standardLibrary, vendoredFiles } from "./staging.mjs";
import { queuesOf, readTopology } from "./topology.mjs";
import { Turns } from "./turns.mjs";

export class Runtime {
  #miniflare;
  #door = new Door();
  #shared; // the files that every worker gets: vendored packages and `_cloudflare`
  #watchdog;
  #bytecode; // of the shared files
  #log;
  #staged = new Map(); // worker -> its own files
  isEnding = false;
  isStale = false; // whether a part of the topology has changed that only a start reads

  constructor(config) {
    this.config = config;
    this.isNative = config.runtime === "native";
    this.workers = readTopology(config);
    this.queues = queuesOf(this.workers);
    this.points = new PointStore(config.metricsFile);
    this.turns = new Turns();
  }

  async start() {
    const { Miniflare, Log, LogLevel } = loadMiniflare();
    this.#shared = [...standardLibrary(), ...vendoredFiles(this.config.modules), ...insideFiles()];
    this.#bytecode = new Bytecode(this.config.cache, this.#shared);
    await Promise.all(this.workers.map((worker) => this.#stage(worker)));
    const hosts = this.isNative ? [] : this.workers.map((worker) => worker.name);
    const control = controlWorker(this.queues, hosts, this.workers[0].compatibilityDate);
    this.#log = brokerLog(Log, LogLevel, (...failed) => this.#onFailedBatch(...failed));
    const options = miniflareOptions({
      workers: [control, ...this.#workerOptions()],
      persist: this.config.persist,
      log: this.#log,
      onLine: this.isNative ? onNativeLine : onRuntimeLine,
      onRestart: () => this.#onRestart(),
    });
    await this.#door.closedDuring(async () => {
      const url = await limitedDuring(() => {
        this.#miniflare = new Miniflare(options);
        return this.#miniflare.ready;
      }).catch((error) => {
        throw startFailure(error, this.isNative);
      });
      await this.#door.assertClosed(url);
    });
    this.#watchProcesses();
  }

  #watchProcesses() {
    this.#watchdog?.kill();
    this.#watchdog = watchOver(this.processes().map(({ pid }) => pid));
  }

  /** workerd has ended unexpectedly, and miniflare has started another one with an empty broker. */
  #onRestart() {
    this.#log.restart();
    this.#watchProcesses();
    emit("restarted", { pids: this.processes().map(({ pid }) => pid) });
  }

  processes() {
    return runtimeProcesses();
  }

  #workerOptions() {
    const { flags, allowedHosts, connectedHosts, deliverTwice } = this.config;
    if (this.isNative) return nativeWorkers({ workers: this.workers, flags }, this.#staged, this.#shared);
    const options = { workers: this.workers, flags, allowedHosts, connectedHosts, deliverTwice };
    return hostWorkers(options, (name, request) => this.#answer(name, request));
  }

  async #stage(worker) {
    this.#staged.set(worker.name, await stage(worker));
  }

  /** Imports every worker; {worker: {bootMs, importMs}}: the total time, and the time of its modules. */
  async load() {
    const entries = this.workers.map(async (worker) => [worker.name, await this.#loadOne(worker)]);
    return Object.fromEntries(await Promise.all(entries));
  }

  /** Reads the crons of the current topology; any other change needs a restart. */
  #readCrons() {
    const found = readTopology(this.config);
    this.isStale = withoutCrons(found) !== withoutCrons(this.workers);
    for (const worker of this.workers) {
      worker.crons = found.find(({ name }) => name === worker.name)?.crons ?? [];
    }
  }

  async #loadOne({ name }) {
    if (this.isNative) return {};
    const outcome = await this.#askHost("load", name);
    if (outcome.error) throw new ImportFailure(name, outcome.error);
    return { bootMs: outcome.bootMs, importMs: outcome.importMs };
  }

  /** Stages and imports the code again; if a worker cannot be imported, its old version keeps running. */
  async reload(name) {
    const chosen = name ? [this.worker(name)] : this.workers;
    if (this.isNative) throw new Failure("Runtime native cannot reload: restart it.", 501);
    this.#readCrons();
    const entries = chosen.map(async (worker) => {
      const before = this.#staged.get(worker.name);
      try {
        await this.#stage(worker);
        return [worker.name, await this.#loadOne(worker)];
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        this.#staged.set(worker.name, before);
        return [worker.name, { error: error.message, traceback: error.traceback ?? null }];
      }
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  worker(name) {
    const found = this.workers.find((worker) => worker.name === name || worker.env === name);
    if (found) return found;
    const names = this.workers.map((worker) => worker.name).join(", ");
    throw new Failure(`No worker is named ${name}; there are ${names}.`, 404);
  }

  fetcher(name) {
    return this.#miniflare.getWorker(this.worker(name).name);
  }

  async #askHost(action, name, input) {
    return (await this.askControl(`${action}/${encodeURIComponent(name)}`, input)).json();
  }

  async #onFailedBatch(queue, batches) {
    if (this.isNative) return;
    try {
      await this.askControl(`settled/${encodeURIComponent(queue)}`, { batches });
    } catch (error) {
      emit("log", { worker: null, level: "warn", text: `the counts of ${queue} may be off: ${error}` });
    }
  }

  bucket(bucketName) {
    for (const { name, bindings } of this.workers) {
      for (const [binding, bucket] of bindingsOf(bindings, "r2")) {
        if (bucket.name === bucketName) return this.#miniflare.getR2Bucket(binding, name);
      }
    }
    throw new Failure(`No started worker is bound to an R2 bucket named ${bucketName}.`, 404);
  }

  /** Calls the control worker; control_worker.mjs defines the actions. */
  async askControl(path, input) {
    const identity = { "accept-encoding": "identity" }; // a compressed stream would be delayed
    const headers = { ...identity, ...this.#door.headers };
    const post = input === undefined ? {} : { method: "POST", body: JSON.stringify(input) };
    return this.#miniflare.dispatchFetch(`http://local/${path}`, { headers, ...post });
  }

  /** Sets the clock of the workers ahead; Postgres and the queues keep theirs. */
  async setClock(aheadMs) {
    if (this.isNative) throw new Failure("Runtime native has no clock of its own.", 501);
    await Promise.all(this.workers.map(({ name }) => this.#askHost("clock", name, { aheadMs })));
    return { aheadMs };
  }

  async memory() {
    if (this.isNative) return {};
    const entries = this.workers.map(async ({ name }) => [name, await this.#askHost("memory", name)]);
    return Object.fromEntries(await Promise.all(entries));
  }

  async stop() {
    this.isEnding = true;
    await this.#miniflare?.dispose();
    this.#watchdog?.kill();
  }

  /** Handles a host's request to the server. */
  async #answer(name, request) {
    switch (new URL(request.url).pathname) {
      case "/site":
        return this.#site(name);
      case "/bytecode":
        this.#bytecode.keep(await request.arrayBuffer());
        break;
      case "/points":
        this.points.add(name, await request.json());
    }
    return new Response(null);
  }

  #site(name) {
    const files = [...this.#shared, ...this.#bytecode.files(), ...this.#staged.get(name)];
    return new Response(pack(files), { headers: this.#bytecode.isEmpty ? { bytecode: "wanted" } : {} });
  }
}

const withoutCrons = (workers) =>
  JSON.stringify(workers, (key, value) => (key === "crons" ? undefined : value));

function startFailure(error, isNative) {
  const cause = /"message":"(?:\*\*\* Uncaught exception \*\*\*\\n)?([^"]+)"/.exec(error.message)?.[1];
  const reason = cause ?? error.message.split("\n")[0];
  if (isNative && /bundle/i.test(reason)) {
    return new Failure(
      "runtime native cannot start: workerd downloads the vendor's Python, which " +
        `failed (${reason}). Connect to the network, or choose runtime host.`,
    );
  }
  return new Failure(`workerd did not start: ${reason}`);
}

export class ImportFailure extends Failure {
  constructor(worker, traceback) {
    super(`${worker} cannot be imported: ${traceback.trim().split("\n").at(-1)}`);
    this.traceback = traceback;
  }
}
