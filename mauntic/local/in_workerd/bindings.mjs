// The bindings of a worker: the runtime's own, but queues count sent messages, and datasets refuse points that
// production would lose or refuse.
import { env as ownEnv } from "cloudflare:workers";

const POINTS_MAX = 250; // per invocation
const INDEXES_MAX = 1;
const INDEX_BYTES_MAX = 96;
const BLOBS_MAX = 20;
const BLOBS_BYTES_MAX = 16 * 1024; // in total
const DOUBLES_MAX = 20;

const queues = JSON.parse(ownEnv.LOCAL_QUEUES); // binding -> queue
const datasets = JSON.parse(ownEnv.LOCAL_DATASETS); // binding -> dataset

/** The worker's environment for one event; `points` receives the event's metric points. */
export function publicEnv(points) {
  const seen = {};
  for (const [name, binding] of Object.entries(ownEnv)) {
    if (name.startsWith("LOCAL_")) continue;
    if (queues[name]) seen[name] = new WorkerQueue(binding, queues[name]);
    else if (datasets[name]) seen[name] = new AnalyticsEngineDataset(datasets[name], points);
    else seen[name] = binding;
  }
  return seen;
}

// The SDK recognizes bindings by their class names, hence these two.
class WorkerQueue {
  #queue;
  #name;

  constructor(queue, name) {
    this.#queue = queue;
    this.#name = name;
  }

  send(body, options) {
    return this.#counted([options?.delaySeconds], () => this.#queue.send(body, options));
  }

  sendBatch(messages, options) {
    const list = [...messages];
    const delays = list.map((message) => message.delaySeconds ?? options?.delaySeconds);
    return this.#counted(delays, () => this.#queue.sendBatch(list, options));
  }

  metrics() {
    return this.#queue.metrics();
  }

  // Counted before the broker has it, so no message in the broker is ever uncounted.
  async #counted(delays, send) {
    const receipt = await ownEnv.LOCAL_COUNTS.sending(this.#name, delays);
    try {
      return await send();
    } catch (error) {
      await ownEnv.LOCAL_COUNTS.notSent(this.#name, receipt);
      throw error;
    }
  }
}

class AnalyticsEngineDataset {
  #dataset;
  #points;

  constructor(dataset, points) {
    this.#dataset = dataset;
    this.#points = points;
  }

  writeDataPoint(point) {
    this.#points.add({ dataset: this.#dataset, ...checkedPoint(point ?? {}) });
  }
}

export class Points {
  #kept = [];
  #written = 0;

  add(point) {
    if (this.#written >= POINTS_MAX) {
      throw new TypeError(`writeDataPoint: more than ${POINTS_MAX} points in one invocation`);
    }
    this.#written += 1;
    this.#kept.push({ at: Date.now(), ...point });
  }

  async flush() {
    if (this.#kept.length === 0) return;
    const body = JSON.stringify(this.#kept.splice(0));
    await ownEnv.LOCAL_SERVER.fetch("http://local/points", { method: "POST", body });
  }
}

function checkedPoint({ indexes = [], blobs = [], doubles = [] }) {
  const [index, ...more] = indexes;
  refuseIf(more.length > 0, `${indexes.length} indexes, at most ${INDEXES_MAX} (it would be lost)`);
  refuseIf(bytes(index) > INDEX_BYTES_MAX, `an index of more than ${INDEX_BYTES_MAX} bytes`);
  refuseIf(blobs.length > BLOBS_MAX, `${blobs.length} blobs, at most ${BLOBS_MAX}`);
  const blobBytes = bytes(blobs.map(text).join(""));
  refuseIf(blobBytes > BLOBS_BYTES_MAX, `${blobBytes} bytes of blobs, at most ${BLOBS_BYTES_MAX}`);
  refuseIf(doubles.length > DOUBLES_MAX, `${doubles.length} doubles, at most ${DOUBLES_MAX}`);
  refuseIf(!doubles.every((number) => typeof number === "number"), "a double that is no number");
  return { indexes: [...indexes], blobs: blobs.map(text), doubles: [...doubles] };
}

function refuseIf(wrong, what) {
  if (wrong) throw new TypeError(`writeDataPoint: ${what}`);
}

const encoder = new TextEncoder();

function bytes(value) {
  return value == null ? 0 : encoder.encode(text(value)).length;
}

function text(blob) {
  if (blob == null || typeof blob === "string") return blob ?? null;
  if (blob instanceof ArrayBuffer || ArrayBuffer.isView(blob)) return new TextDecoder().decode(blob);
  throw new TypeError("writeDataPoint: an index or a blob is not a string");
}
