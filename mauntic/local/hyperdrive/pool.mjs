// The connections to one database: opened on demand, kept, and lent in turn.
import { Origin } from "./origin.mjs";

export class Pool {
  #database;
  #max;
  #idle = []; // the last one returned is lent first: its caches are warm
  #open = new Set();
  #opening = 0;
  #waiting = []; // clients that arrive when all are lent

  constructor(database, max) {
    this.#database = database;
    this.#max = max;
  }

  /** Lends a connection, after waiting if necessary. Rejects if the database is not available. */
  async acquire() {
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#open.size + this.#opening < this.#max) return this.#openOne();
    const { promise, resolve, reject } = Promise.withResolvers();
    this.#waiting.push({ resolve, reject });
    return promise;
  }

  /** Takes back a connection that is outside any transaction. */
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
    this.#idle = this.#idle.filter((idle) => idle !== origin);
    this.#admit();
  }

  /** Lends to the next waiting client. */
  #admit() {
    const next = this.#waiting.shift();
    if (next) this.acquire().then(next.resolve, next.reject);
  }
}
