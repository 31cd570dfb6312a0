// The connections to one database: opened when they are needed, kept, and lent in turn.
import { Origin } from "./origin.mjs";

export class Pool {
  #database;
  #max;
  #idle = []; // the last one back is the first one out: it is the warmest
  #open = new Set();
  #opening = 0;
  #waiting = []; // those who come when all are lent

  constructor(database, max) {
    this.#database = database;
    this.#max = max;
  }

  /** A connection to hold; waits for its turn. Rejects when the database is not to be had. */
  async acquire() {
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#open.size + this.#opening < this.#max) return this.#openOne();
    const { promise, resolve, reject } = Promise.withResolvers();
    this.#waiting.push({ resolve, reject });
    return promise;
  }

  /** Gives back a connection that is outside any transaction. */
  release(origin) {
    origin.release();
    this.#pass(origin);
  }

  close() {
    for (const origin of this.#open) origin.close();
  }

  #pass(origin) {
    const next = this.#waiting.shift();
    if (next) next.resolve(origin);
    else this.#idle.push(origin);
  }

  async #openOne() {
    this.#opening += 1;
    try {
      const origin = await Origin.open(this.#database, (ended) => this.#forget(ended));
      this.#open.add(origin);
      return origin;
    } catch (error) {
      queueMicrotask(() => this.#admit());
      throw error;
    } finally {
      this.#opening -= 1;
    }
  }

  #forget(origin) {
    this.#open.delete(origin);
    this.#idle = this.#idle.filter((one) => one !== origin);
    this.#admit();
  }

  /** There is room for whoever waits. */
  #admit() {
    const next = this.#waiting.shift();
    if (next) this.acquire().then(next.resolve, next.reject);
  }
}
