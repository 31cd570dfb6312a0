// A Worker that runs a Python Worker. It passes to Python what production passes; it also counts messages
// (control_worker.mjs) and keeps metric points, which production does elsewhere.
import { WorkerEntrypoint, env as ownEnv } from "cloudflare:workers";
import { boot, clock, compiled } from "./interpreter.mjs";
import { Points, publicEnv } from "./bindings.mjs";
import { WaitUntil } from "./wait_until.mjs";
import { logTexts } from "./console.mjs";
import { pack } from "../common/pack.mjs";
import { watch } from "./batch.mjs";

const worker = ownEnv.LOCAL_NAME;
let current; // a promise of the interpreter that handles the next event

async function load() {
  const started = performance.now();
  const response = await ownEnv.LOCAL_SERVER.fetch("http://local/site");
  const interpreter = await boot(worker, await response.arrayBuffer(), publicEnv(new Points()));
  interpreter.bootMs = Math.round(performance.now() - started);
  expectCrash(interpreter);
  if (response.headers.get("bytecode") === "wanted") await keepBytecode(interpreter);
  return interpreter;
}

/** A crashed interpreter handles nothing more. Production ends its isolate with every event in it, and starts another
 * one for the next event. */
function expectCrash(interpreter) {
  interpreter.endings = new Set(); // one per event
  interpreter.pyodide._api.on_fatal = async (error) => {
    interpreter.hasCrashed = true;
    for (const end of interpreter.endings) end(new Error(`the interpreter has crashed: ${error}`));
    if ((await current) === interpreter) current = undefined;
  };
}

/** Settles as `running` does, or rejects when the interpreter crashes. */
async function unlessCrashed(interpreter, running) {
  if (interpreter.hasCrashed) throw new Error("the interpreter has crashed");
  const { promise: crash, reject: end } = Promise.withResolvers();
  interpreter.endings.add(end);
  try {
    return await Promise.race([running, crash]);
  } finally {
    interpreter.endings.delete(end);
  }
}

async function keepBytecode({ pyodide }) {
  const body = pack(compiled(pyodide));
  await ownEnv.LOCAL_SERVER.fetch("http://local/bytecode", { method: "POST", body });
}

const CALL = { relaxed: true, promising: true };

/** Python's own text, without the frames between JavaScript and Python. */
function tracebackOf(error) {
  const lines = String(error?.message ?? error).trimEnd().split("\n");
  const kept = [];
  let skipping = false;
  for (const line of lines) {
    if (line.startsWith('  File "')) skipping = /_pyodide|\/session\/runtime\/|importlib/.test(line);
    else if (!line.startsWith("    ")) skipping = false;
    if (!skipping) kept.push(line);
  }
  return kept.join("\n");
}

export default class extends WorkerEntrypoint {
  #points = new Points();
  #waitUntil = new WaitUntil(this.ctx);
  #interpreter;

  /** Runs one event in a new instance of the worker's class, and reports its failure. */
  async #run(describe, run) {
    try {
      const interpreter = await (current ??= load());
      this.#interpreter = interpreter;
      const instance = interpreter.Default(this.ctx, publicEnv(this.#points));
      try {
        return await unlessCrashed(interpreter, run(interpreter, instance));
      } finally {
        if (!interpreter.hasCrashed) instance.destroy?.();
      }
    } catch (error) {
      const traceback = tracebackOf(error);
      logTexts(worker, "error", `${describe} raised\n${traceback}`);
      throw new Error(traceback.split("\n").at(-1), { cause: traceback });
    } finally {
      await this.#points.flush();
    }
  }

  /** Finishes the work after a batch, and keeps its points. */
  async #over(queue, ticket) {
    const tell = (error) => logTexts(worker, "error", `queue ${queue}, afterwards, raised\n${tracebackOf(error)}`);
    await unlessCrashed(this.#interpreter, this.#waitUntil.done(tell)).catch(tell);
    await this.#points.flush();
    await ownEnv.LOCAL_COUNTS.left(queue, ticket);
  }

  async fetch(request) {
    return this.#run("fetch", ({ dispatch }, instance) =>
      dispatch.fetch.callWithOptions(CALL, instance, request),
    );
  }

  async scheduled(controller) {
    const { cron, scheduledTime } = controller;
    try {
      await this.#run(`scheduled ${cron}`, ({ dispatch }, instance) =>
        dispatch.event.callWithOptions(CALL, instance, "scheduled", controller),
      );
    } catch (error) {
      await ownEnv.LOCAL_COUNTS.cronFailed(worker, cron, Number(scheduledTime), error.cause);
      throw error;
    }
  }

  async queue(batch) {
    const answers = watch(batch);
    const oldestAt = Math.min(...batch.messages.map(({ timestamp }) => timestamp.getTime()));
    const { ticket, tailed } = await ownEnv.LOCAL_COUNTS.begin(batch.queue, answers.attempts(), oldestAt);
    let raised = false;
    try {
      for (let delivery = 0; delivery < ownEnv.LOCAL_DELIVERIES; delivery += 1) {
        await this.#run(`queue ${batch.queue}`, ({ dispatch }, instance) =>
          dispatch.event.callWithOptions(CALL, instance, "queue", batch),
        );
      }
    } catch (error) {
      raised = true;
      throw error;
    } finally {
      const lingers = !this.#waitUntil.isEmpty;
      await ownEnv.LOCAL_COUNTS.end(batch.queue, ticket, answers.settled(raised, tailed), lingers);
      if (lingers) this.#waitUntil.outlast(() => this.#over(batch.queue, ticket));
    }
  }
}

/** Requests of the server to a host, which the worker does not see. */
export class Runtime extends WorkerEntrypoint {
  async load() {
    const next = load();
    try {
      const { bootMs, importMs } = await next;
      current = next; // the old interpreter is garbage when its last event has ended
      return { bootMs, importMs };
    } catch (error) {
      return { error: tracebackOf(error) };
    }
  }

  setClock(aheadMs) {
    clock.aheadMs = aheadMs;
    return { aheadMs };
  }

  async memory() {
    return { wasmBytes: (await current)?.pyodide._module.HEAP8.length ?? 0 };
  }
}
