// The message counts of one queue. Pure arithmetic: the clock is an argument, and nothing waits.

const LINGER_MAX_MS = 30_000; // the platform's limit for work after an answer

/** Without a running consumer the broker drops messages: such a queue stays empty. */
export class Tally {
  #settings;
  #undelivered = 0; // waiting or delayed; below 0 while a dead letter is delivered before it is reported
  #dueTimes = []; // of delayed messages
  #open = new Map(); // ticket -> attempts of a batch in progress; the broker may deliver several
  #begun = 0;
  #lingering = new Map(); // ticket -> the time since which a batch is answered but not finished

  constructor(settings) {
    this.#settings = settings;
  }

  sending(delays, now = Date.now()) {
    if (!this.#settings.consumer) return { count: 0, due: [] };
    const due = delays
      .map((delay) => delay ?? this.#settings.deliveryDelay ?? 0)
      .filter((delay) => delay > 0)
      .map((delay) => now + delay * 1000);
    this.#undelivered += delays.length;
    this.#dueTimes.push(...due);
    return { count: delays.length, due };
  }

  notSent({ count, due }) {
    this.#undelivered -= count;
    for (const time of due) this.#forget(time);
  }

  arrived(count) {
    if (this.#settings.consumer) this.#undelivered += count;
  }

  begin(attempts) {
    this.#undelivered -= attempts.length;
    this.#open.set(++this.#begun, attempts);
    return this.#begun;
  }

  /** Returns the number of messages that go to the dead-letter queue. */
  end(ticket, answers, lingers = false, now = Date.now()) {
    if (!this.#open.delete(ticket)) return 0;
    if (lingers) this.#lingering.set(ticket, now);
    const failed = answers.filter((answer) => answer.answer !== "ack");
    const retried = failed.filter((answer) => answer.attempts <= this.#settings.maxRetries);
    const delays = retried.map((answer) => answer.delaySeconds ?? this.#settings.retryDelay ?? 0);
    this.sending(delays, now);
    return failed.length - retried.length;
  }

  /** The oldest open batches: as many as were settled without a report of their end. */
  unreported(settledBatches) {
    const ended = this.#begun - this.#open.size;
    const open = [...this.#open].map(([ticket, attempts]) => ({ ticket, attempts }));
    return open.slice(0, Math.max(0, settledBatches - ended));
  }

  left(ticket) {
    this.#lingering.delete(ticket);
  }

  isEmpty(now = Date.now()) {
    const lingers = [...this.#lingering.values()].some((since) => now - since < LINGER_MAX_MS);
    return this.#undelivered <= 0 && this.#open.size === 0 && !lingers;
  }

  counts(now = Date.now()) {
    this.#dueTimes = this.#dueTimes.filter((time) => time > now);
    const undelivered = Math.max(0, this.#undelivered);
    const delayed = Math.min(this.#dueTimes.length, undelivered);
    return { waiting: undelivered - delayed, delayed, inFlight: [...this.#open.values()].flat().length };
  }

  #forget(time) {
    const index = this.#dueTimes.indexOf(time);
    if (index >= 0) this.#dueTimes.splice(index, 1);
  }
}
