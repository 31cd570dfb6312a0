// Log in to a PostgreSQL server with the method that it requests, usually SCRAM.
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";
import { frame, int32 } from "./frames.mjs";

const PROTOCOL = 3 << 16;
const SCRAM = "SCRAM-SHA-256";

/** The frame with which the server refused the login: the client gets it too. */
export class Refused extends Error {
  constructor({ body, bytes }) {
    super(body.toString().split("\0").find((field) => field.startsWith("M"))?.slice(1));
    this.bytes = bytes;
  }
}

/** The settings that the server reports: frames for every client of this connection. */
export async function logIn(reader, socket, { user, password, database }) {
  const fields = ["user", user, "database", database, ""].map((text) => `${text}\0`).join("");
  socket.write(Buffer.concat([int32(8 + Buffer.byteLength(fields), PROTOCOL), Buffer.from(fields)]));
  const prove = prover(user, password);
  const settings = [];
  for (;;) {
    const { type, body, bytes } = await reader.frame();
    if (type === "E") throw new Refused({ body, bytes });
    if (type === "Z") return Buffer.concat(settings);
    if (type === "S") settings.push(bytes);
    if (type !== "R") continue;
    const answer = prove(body.readInt32BE(0), body.subarray(4));
    if (answer) socket.write(frame("p", ...answer));
  }
}

/** Answers each authentication request of the server; the final confirmation needs no answer. */
function prover(user, password) {
  let scram;
  const answers = {
    0: () => null,
    3: () => [`${password}\0`],
    5: (salt) => [`md5${md5(md5(password + user), salt)}\0`],
    10: () => (scram = new Scram(password)).first(),
    11: (text) => scram.final(text.toString()),
    12: (text) => scram.verify(text.toString()),
  };
  return (code, text) => {
    if (!answers[code]) throw new Error(`the database requests an unknown authentication method (${code})`);
    return answers[code](text);
  };
}

function md5(...parts) {
  return parts.reduce((hash, part) => hash.update(part), createHash("md5")).digest("hex");
}

const hmac = (key, text) => createHmac("sha256", key).update(text).digest();

/** RFC 7677, without channel binding. */
class Scram {
  #password;
  #first = `n=,r=${randomBytes(18).toString("base64")}`;
  #signature;

  constructor(password) {
    this.#password = password.normalize("NFKC");
  }

  first() {
    const message = `n,,${this.#first}`;
    return [`${SCRAM}\0`, int32(Buffer.byteLength(message)), message];
  }

  final(text) {
    const { r: nonce, s: salt, i: rounds } = fieldsOf(text);
    if (!nonce.startsWith(this.#first.slice("n=,r=".length))) throw new Error("the database's nonce does not continue the client's");
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, "base64"), Number(rounds), 32, "sha256");
    const key = hmac(salted, "Client Key");
    const bare = `c=biws,r=${nonce}`;
    const authMessage = `${this.#first},${text},${bare}`;
    const mask = hmac(createHash("sha256").update(key).digest(), authMessage);
    this.#signature = hmac(hmac(salted, "Server Key"), authMessage);
    return [`${bare},p=${Buffer.from(key.map((byte, index) => byte ^ mask[index])).toString("base64")}`];
  }

  /** Checks that the server also knows the password. */
  verify(text) {
    const signature = Buffer.from(fieldsOf(text).v ?? "", "base64");
    const isRight = signature.length === this.#signature.length && timingSafeEqual(signature, this.#signature);
    if (!isRight) throw new Error("the database does not know the password");
    return null;
  }
}

function fieldsOf(text) {
  return Object.fromEntries(text.split(",").map((field) => [field[0], field.slice(2)]));
}
