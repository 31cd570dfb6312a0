// The work after an event's answer: the promises passed to ctx.waitUntil.
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

  /** Waits until all of them are settled, including later ones; calls `onError` with each failure. */
  async done(onError) {
    for (const promise of this.#promises) await Promise.resolve(promise).catch(onError);
  }

  /** The event also lasts until this is done, which may wait for `done`. */
  outlast(work) {
    this.#waitUntil(work());
  }
}
