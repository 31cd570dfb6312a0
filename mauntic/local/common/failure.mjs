/** An expected failure: its message is one clear sentence for the person at the keyboard. */
export class Failure extends Error {
  constructor(message, status = 400) {
    super(message);
    this.status = status;
  }
}
