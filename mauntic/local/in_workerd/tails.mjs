// Streams of answered messages. Only the request that opened a stream may write to it, so each stream polls its own
// buffer.
const POLL_MS = 20;
const encoder = new TextEncoder();
const BUFFERED_MAX = 10_000; // answers; a slow reader loses the oldest

export class Tails {
  #open = new Map(); // queue -> set of buffers

  has(queue) {
    return (this.#open.get(queue)?.size ?? 0) > 0;
  }

  add(queue, answers) {
    for (const buffer of this.#open.get(queue) ?? []) {
      for (const answer of answers) buffer.push({ at: Date.now(), ...answer });
      buffer.splice(0, Math.max(0, buffer.length - BUFFERED_MAX));
    }
  }

  /** Lines of JSON; the first line is empty and means that the tail is open. */
  stream(queue) {
    const buffer = [];
    const buffers = this.#open.get(queue) ?? new Set();
    this.#open.set(queue, buffers.add(buffer));
    return new ReadableStream({
      start: (controller) => controller.enqueue(encoder.encode("\n")),
      pull: async (controller) => {
        while (buffer.length === 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        const lines = buffer.splice(0).map((answer) => `${JSON.stringify(answer)}\n`);
        controller.enqueue(encoder.encode(lines.join("")));
      },
      cancel: () => buffers.delete(buffer),
    });
  }
}
