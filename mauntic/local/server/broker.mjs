// miniflare's log: its queue broker's report of each batch, and its warnings.
import { stripVTControlCharacters } from "node:util";
import { emit } from "../common/events.mjs";

const SETTLED = /^QUEUE (\S+) (\d+)\/(\d+)/;

/** `onFailedBatch(queue, n)`: the broker has settled n batches of the queue, the last one with failures. Call
 * `restart()` after the broker has restarted, because it then counts from zero. */
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

    log() {} // standard output contains only events
  })(LogLevel.INFO);
}
