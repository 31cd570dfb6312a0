// One connection to the database, shared by clients: each holds it for a transaction.
import { once } from "node:events";
import { connect } from "node:net";
import { Frames, Reader, frame, written } from "./frames.mjs";
import { logIn } from "./login.mjs";

const LOGIN_TIMEOUT_MS = 10_000;
const FORGET = frame("Q", "discard all\0"); // what a session keeps: settings, locks, tables, statements

export class Origin {
  holder = null; // the client that hears the answers
  #socket;
  #frames = new Frames("ZE");
  #isForgetting = false;

  /** `settings`: what the server reports of itself at login. */
  constructor(socket, settings) {
    this.#socket = socket.on("error", () => {}); // its reader ends, which says so
    this.settings = settings;
  }

  /** Connects and logs in; `onClose` is called with it when it has ended, by whichever side. */
  static async open(database, onClose) {
    const socket = connect({ host: database.host, port: database.port, noDelay: true, keepAlive: true });
    const timer = setTimeout(() => socket.destroy(new Error("it took too long")), LOGIN_TIMEOUT_MS);
    try {
      await once(socket, "connect");
      const reader = new Reader(socket);
      const origin = new Origin(socket, await logIn(reader, socket, database));
      origin.#listen(reader).finally(() => onClose(origin));
      return origin;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get isOpen() {
    return this.#socket.writable;
  }

  write(bytes) {
    return written(this.#socket, bytes);
  }

  /** Ends the transaction that may be open, as the server rolls back what has lost its client. */
  close() {
    this.holder = null;
    this.#socket.destroy();
  }

  /**
   * What the next holder asks may follow at once: the answer to this goes to nobody. One at a time is
   * under way: a session that was asked nothing since has nothing to forget.
   */
  release() {
    if (!this.holder) return;
    this.holder = null;
    this.#isForgetting = true;
    this.write(FORGET);
  }

  async #listen(reader) {
    try {
      for await (const chunk of reader.chunks()) {
        for (const piece of this.#frames.cut(chunk)) await this.#hear(piece);
      }
    } catch {
      // broken: as good as closed
    }
    this.#socket.destroy();
    this.holder?.lose();
  }

  #hear({ type, bytes }) {
    if (!this.#isForgetting) return this.holder?.hear(type, bytes);
    if (type === "E") throw new Error("the session cannot be emptied");
    if (type === "Z") this.#isForgetting = false;
  }
}
