// Streams of answered messages. A stream belongs to the request that opened it and may be written
// to by no other, so each one looks at its own buffer in short intervals.
const POLL_MS = 20;
const BUFFERED_MAX = 10_000; // answers; a reader that is slower loses the oldest

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

  stream(queue) {
    const buffer = [];
    const buffers = this.#open.get(queue) ?? new Set();
    this.#open.set(queue, buffers.add(buffer));
    const { readable, writable } = new TransformStream();
    forward(buffer, writable.getWriter())
      .catch(() => {}) // the reader has gone
      .finally(() => buffers.delete(buffer));
    return readable;
  }
}

async function forward(buffer, writer) {
  const encoder = new TextEncoder();
  let isOpen = true;
  writer.closed.catch(() => {}).finally(() => (isOpen = false));
  await writer.write(encoder.encode("\n")); // an empty line: the reader knows that the tail is open
  while (isOpen) {
    const lines = buffer.splice(0).map((answer) => `${JSON.stringify(answer)}\n`);
    if (lines.length > 0) await writer.write(encoder.encode(lines.join("")));
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
