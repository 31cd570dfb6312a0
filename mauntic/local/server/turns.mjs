// Events of a worker that the server begins: so many at once, the others wait in their order. Each one
// that waits for its database keeps a stack in the interpreter's memory, and that memory has an end.
const AT_ONCE_MAX = 32;

export class Turns {
  #begun = new Map(); // worker -> how many are under way
  #waiting = new Map(); // worker -> what begins the next ones

  /** Does the work when it is the worker's turn; it takes as long as the work takes. */
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

  /** The turn goes to the one that has waited longest, if there is one. */
  #end(worker) {
    const [next, ...others] = this.#waiting.get(worker) ?? [];
    if (!next) return this.#begun.set(worker, this.#begun.get(worker) - 1);
    this.#waiting.set(worker, others);
    next();
  }
}
