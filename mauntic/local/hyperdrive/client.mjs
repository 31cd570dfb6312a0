// A worker's connection to the pool. It logs in once, and holds a database connection from its first request until
// everything is answered and no transaction is open.
import { createHash, timingSafeEqual } from "node:crypto";
import { Frames, Reader, frame, int32, written } from "./frames.mjs";
import { Refused } from "./login.mjs";

const PROTOCOL_MAJOR = 3;
const WANTS_ENCRYPTION = new Set([80877103, 80877104]); // TLS, GSSAPI
const IDLE = "I".charCodeAt(0);
// Limits until a client has logged in.
const LOGIN_BYTES_MAX = 10_000;
const LOGIN_TIMEOUT_MS = 10_000;

export class Client {
  #socket;
  #pool;
  #expected; // {user, password, database}
  #log;
  #frames = new Frames("QSFX");
  #origin = null;
  #unanswered = 0; // requests without their ReadyForQuery
  #isKnown = false; // it has sent the password
  #isAsking = false; // a request has begun and is not complete

  constructor(socket, pool, expected, log) {
    this.#socket = socket.on("error", () => {}); // its reader ends and handles that
    this.#pool = pool;
    this.#expected = expected;
    this.#log = log;
  }

  /** Runs until the client leaves or is lost. */
  async serve() {
    const reader = new Reader(this.#socket);
    try {
      const timer = setTimeout(() => this.#isKnown || this.#socket.destroy(), LOGIN_TIMEOUT_MS);
      this.#socket.once("close", () => clearTimeout(timer));
      if (!(await this.#enter(reader))) return;
      for await (const chunk of reader.chunks()) {
        for (const { type, bytes } of this.#frames.cut(chunk)) {
          if (type === "X") return;
          await this.#ask(type, bytes);
        }
      }
    } catch (error) {
      if (error instanceof Refused) this.#socket.write(error.bytes);
    } finally {
      this.#origin?.close();
      this.#socket.destroySoon();
    }
  }

  /** A chunk of the answer to the last request. */
  async hear(type, bytes) {
    await written(this.#socket, bytes);
    if (type !== "Z") return;
    this.#unanswered -= 1;
    this.#releaseIfDone(bytes.at(-1));
  }

  /** The database connection broke: the rest of this client's conversation is invalid. */
  lose() {
    this.#origin = null;
    this.#socket.destroySoon();
  }

  async #ask(type, bytes) {
    if (!this.#origin) await this.#hold();
    if (!this.#socket.writable) throw new Error("the client is lost"); // a conversation cut off midway
    this.#isAsking = type === null;
    if (type) this.#unanswered += 1;
    await this.#origin.write(bytes);
  }

  async #hold() {
    const origin = await this.#acquire();
    if (!this.#socket.writable) return this.#pool.release(origin);
    origin.holder = this;
    this.#origin = origin;
  }

  async #acquire() {
    try {
      let origin;
      do origin = await this.#pool.acquire();
      while (!origin.isOpen);
      return origin;
    } catch (error) {
      this.#log(`the database cannot be reached: ${error.message}`);
      throw error;
    }
  }

  #releaseIfDone(status) {
    const origin = this.#origin;
    if (!origin || this.#unanswered || this.#isAsking || status !== IDLE) return;
    this.#origin = null;
    this.#pool.release(origin);
  }

  /** Whether the client may log in: its login is valid, and there is a database. */
  async #enter(reader) {
    const startup = await this.#startup(reader);
    if (!startup) return false;
    this.#socket.write(frame("R", int32(3))); // the password in clear text: it does not leave the machine
    const { type, body } = await reader.frame(LOGIN_BYTES_MAX);
    const login = { ...startup, password: body.subarray(0, -1).toString() };
    if (type !== "p" || !isSame(login, this.#expected)) return this.#refuse();
    this.#isKnown = true;
    const origin = await this.#acquire();
    this.#pool.release(origin);
    this.#socket.write(
      Buffer.concat([frame("R", int32(0)), origin.settings, frame("K", int32(0, 0)), frame("Z", "I")]),
    );
    return true;
  }

  async #startup(reader) {
    for (;;) {
      const length = (await reader.take(4)).readInt32BE(0);
      if (length < 8 || length > LOGIN_BYTES_MAX) return null;
      const body = await reader.take(length - 4);
      const code = body.readInt32BE(0);
      if (code >> 16 === PROTOCOL_MAJOR) return named(body.subarray(4));
      if (!WANTS_ENCRYPTION.has(code)) return null; // cancel requests are ignored
      this.#socket.write("N");
    }
  }

  #refuse() {
    const fields = ["SFATAL", "VFATAL", "C28P01", "Mpassword authentication failed", ""];
    this.#socket.write(frame("E", fields.map((field) => `${field}\0`).join("")));
    return false;
  }
}

/** Only these startup settings of a client count: others would not outlive a transaction. */
function named(body) {
  const words = body.toString().split("\0");
  const after = (name) => words.find((_, index) => index % 2 === 1 && words[index - 1] === name) ?? "";
  return { user: after("user"), database: after("database") };
}

function isSame(login, expected) {
  const digest = ({ user, password, database }) =>
    createHash("sha256").update(JSON.stringify([user, password, database])).digest();
  return timingSafeEqual(digest(login), digest(expected));
}
