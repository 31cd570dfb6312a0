// One connection to the database, shared by clients: each holds it for a transaction.
import { once } from "node:events";
import { connect } from "node:net";
import { Frames, Reader, frame, written } from "./frames.mjs";
import { logIn } from "./login.mjs";

const LOGIN_TIMEOUT_MS = 10_000;
const FORGET = frame("Q", "discard all\0"); // session state: settings, locks, tables, statements

export class Origin {
  holder = null; // the client that receives the answers
  #socket;
  #frames = new Frames("ZE");
  #isForgetting = false;

  /** `settings`: the settings that the server reports at login. */
  constructor(socket, settings) {
    this.#socket = socket.on("error", () => {}); // its reader ends and handles that
    this.settings = settings;
  }

  /** Connects and logs in; calls `onClose` with the connection when either side has ended it. */
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

  /** Ends an open transaction: the server rolls back when its client is gone. */
  close() {
    this.holder = null;
    this.#socket.destroy();
  }

  /** Clears the session. The next holder's request may follow at once; no client gets the answer. Only one is pending
   * at a time: an unused session has no state to clear. */
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
      // a broken connection counts as closed
    }
    this.#socket.destroy();
    this.holder?.lose();
  }

  #hear({ type, bytes }) {
    if (!this.#isForgetting) return this.holder?.hear(type, bytes);
    if (type === "E") throw new Error("the session cannot be cleared");
    if (type === "Z") this.#isForgetting = false;
  }
}
