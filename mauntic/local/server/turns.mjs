// Limits the concurrent events of a worker that the server starts; the others wait in order. Each event that waits for
// its database keeps a stack in the interpreter's memory, which is limited.
const AT_ONCE_MAX = 32;

export class Turns {
  #begun = new Map(); // worker -> number in progress
  #waiting = new Map(); // worker -> functions that start the next ones

  /** Runs the work when it is the worker's turn, for as long as it takes. */
  async run(worker, work) {
    await this.#turn(worker);
    try {
      return await work();
    } finally {
      this.#end(worker);
    }
  }

  #turn(worker) {
    const begun = this.#begun.get(worker) ?? 0;
    if (begun < AT_ONCE_MAX) {
      this.#begun.set(worker, begun + 1);
      return null;
    }
    const { promise, resolve } = Promise.withResolvers();
    this.#waiting.set(worker, [...(this.#waiting.get(worker) ?? []), resolve]);
    return promise;
  }

  /** Gives the turn to the longest waiting work. */
  #end(worker) {
    const [next, ...others] = this.#waiting.get(worker) ?? [];
    if (!next) return this.#begun.set(worker, this.#begun.get(worker) - 1);
    this.#waiting.set(worker, others);
    next();
  }
}
