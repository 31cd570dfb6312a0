// The messages of one queue, counted. Plain arithmetic: the clock is an argument, nothing waits.

/** Without a running consumer the broker drops what is sent: such a queue stays empty. */
export class Tally {
  #settings;
  #undelivered = 0; // waiting or delayed
  #dueTimes = []; // of delayed messages
  #open = null; // the batch being handled: the broker delivers one at a time
  #tickets = 0; // the open batch's place among all that were delivered

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
    this.#undelivered = Math.max(0, this.#undelivered - count);
    for (const time of due) this.#forget(time);
  }

  arrived(count) {
    if (this.#settings.consumer) this.#undelivered += count;
  }

  begin(attempts) {
    this.#undelivered = Math.max(0, this.#undelivered - attempts.length);
    this.#open = { ticket: ++this.#tickets, attempts };
    return this.#tickets;
  }

  /** Returns how many messages go to the dead letter queue. */
  end(ticket, answers, now = Date.now()) {
    if (this.#open?.ticket !== ticket) return 0; // settled already
    this.#open = null;
    const failed = answers.filter((answer) => answer.answer !== "ack");
    const dead = failed.filter((answer) => answer.attempts > this.#settings.maxRetries);
    for (const answer of failed) {
      if (answer.attempts > this.#settings.maxRetries) continue;
      this.sending([answer.delaySeconds ?? this.#settings.retryDelay ?? 0], now);
    }
    return dead.length;
  }

  open() {
    return this.#open;
  }

  isEmpty() {
    return this.#undelivered === 0 && this.#open === null;
  }

  counts(now = Date.now()) {
    this.#dueTimes = this.#dueTimes.filter((time) => time > now);
    const delayed = Math.min(this.#dueTimes.length, this.#undelivered);
    const inFlight = this.#open?.attempts.length ?? 0;
    return { waiting: this.#undelivered - delayed, delayed, inFlight };
  }

  #forget(time) {
    const index = this.#dueTimes.indexOf(time);
    if (index >= 0) this.#dueTimes.splice(index, 1);
  }
}
