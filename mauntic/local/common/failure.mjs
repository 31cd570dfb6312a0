/** An expected failure: its message is one sentence for the user. */
export class Failure extends Error {
  constructor(message, status = 400) {
    super(message);
    this.status = status;
  }
}
