// miniflare's own log: what its queue broker says of each batch, and its warnings.
import { stripVTControlCharacters } from "node:util";
import { emit } from "../common/events.mjs";

const SETTLED = /^QUEUE (\S+) (\d+)\/(\d+)/;

/**
 * `onFailedBatch(queue, n)`: the broker has settled n of the queue's batches, the last with failures.
 * `restart()` is for a broker that has: it counts from nothing.
 */
export function brokerLog(Log, LogLevel, onFailedBatch) {
  const settled = new Map(); // queue -> batches
  return new (class extends Log {
    restart() {
      settled.clear();
    }

    logWithLevel(level, message) {
      const text = stripVTControlCharacters(message);
      const [, queue, acked, total] = text.match(SETTLED) ?? [];
      if (queue) settled.set(queue, (settled.get(queue) ?? 0) + 1);
      if (queue && acked !== total) onFailedBatch(queue, settled.get(queue));
      if (level === LogLevel.WARN) emit("log", { worker: null, level: "warn", text });
      if (level === LogLevel.ERROR) emit("log", { worker: null, level: "error", text });
    }

    log() {} // standard output is not for prose
  })(LogLevel.INFO);
}
