// What an event leaves to be done when it has been answered: the promises given to ctx.waitUntil.
export class WaitUntil {
  #promises = [];
  #waitUntil;

  constructor(ctx) {
    this.#waitUntil = ctx.waitUntil.bind(ctx);
    ctx.waitUntil = (promise) => {
      this.#promises.push(promise);
      this.#waitUntil(promise);
    };
  }

  get isEmpty() {
    return this.#promises.length === 0;
  }

  /** When all of them are settled, also those that came meanwhile; `onError` hears of each failure. */
  async done(onError) {
    for (const promise of this.#promises) await Promise.resolve(promise).catch(onError);
  }

  /** The event lasts until this is done too, which may wait for `done`. */
  outlast(work) {
    this.#waitUntil(work());
  }
}
