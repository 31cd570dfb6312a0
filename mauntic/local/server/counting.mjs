// Let the broker count a queue's waiting, delayed and delivered messages. miniflare's broker reports only waiting ones,
// and does not know that a queue is idle. Its source is changed when it is read: then `metrics()` of a queue counts
// every message that is not acknowledged, as in production, with any runtime.
import fs from "node:fs";
import { replaceOnly } from "./repairs.mjs";

const BROKER = /workers[\\/]queues[\\/]broker\.worker\.js$/;

const CHANGES = [
  ["  #backlogBytes = 0;", "  #backlogBytes = 0;\n  #delayed = 0;\n  #inHand = 0;"],
  [
    "return {\n      backlogCount: this.#messages.length,",
    "return {\n      backlogCount: this.#messages.length + this.#delayed + this.#inHand,",
  ],
  // Sent: a message is delayed until it waits, even for no time.
  ["this.#messages.push(msg), ", "this.#delayed--, this.#messages.push(msg), "],
  ["delay > 0 ? this.timers.setTimeout(fn, delay * 1e3) : fn();",
    "this.#delayed++, delay > 0 ? this.timers.setTimeout(fn, delay * 1e3) : fn();"],
  // Delivered: in flight until it is acknowledged, delayed for a retry, or in the dead-letter queue.
  ["batch = this.#messages.splice(0, batchSize);",
    "batch = this.#messages.splice(0, batchSize);\n    this.#inHand += batch.length;"],
  ["let fn = () => {\n            this.#messages.push(message), ",
    "this.#delayed++;\n          let fn = () => {\n            this.#delayed--, this.#messages.push(message), "],
  ["let acked = batch.length - failedMessages;",
    "let acked = batch.length - failedMessages;\n    this.#inHand -= batch.length - toDeadLetterQueue.length;"],
  ["assert(res.ok);", "assert(res.ok), this.#inHand -= toDeadLetterQueue.length;"],
];

/** From now on miniflare reads the changed broker. */
export function countInBroker() {
  const { readFileSync } = fs;
  fs.readFileSync = (path, ...options) => {
    const content = readFileSync(path, ...options);
    return BROKER.test(String(path)) ? CHANGES.reduce(replaceOnly, content) : content;
  };
}
