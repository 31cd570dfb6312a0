// PostgreSQL's wire protocol: frames with type, length and body, split anywhere by the network.
const HEAD_BYTES = 5; // the type, and a length that includes itself

export function frame(type, ...parts) {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

export function int32(...values) {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeInt32BE(value, 4 * index));
  return bytes;
}

/** Follows the frames of a stream without delaying them: no body is kept, however large. */
export class Frames {
  #ends; // the types of frames to report
  #head = Buffer.alloc(HEAD_BYTES);
  #headBytes = 0;
  #bodyBytes = 0; // remaining bytes of the current body

  constructor(ends) {
    this.#ends = ends;
  }

  /** Splits a chunk into pieces: each ends with a frame to report and has its type, except the last piece. */
  *cut(chunk) {
    let start = 0;
    let at = 0;
    while (at < chunk.length) {
      at = this.#advance(chunk, at);
      const type = this.#isWhole() ? this.#next() : "";
      if (!type || !this.#ends.includes(type)) continue;
      yield { type, bytes: chunk.subarray(start, at) };
      start = at;
    }
    if (start < at) yield { type: null, bytes: chunk.subarray(start) };
  }

  #advance(chunk, at) {
    if (this.#headBytes === HEAD_BYTES) {
      const taken = Math.min(this.#bodyBytes, chunk.length - at);
      this.#bodyBytes -= taken;
      return at + taken;
    }
    const taken = chunk.copy(this.#head, this.#headBytes, at, at + HEAD_BYTES - this.#headBytes);
    this.#headBytes += taken;
    if (this.#headBytes === HEAD_BYTES) this.#bodyBytes = bodyBytes(this.#head);
    return at + taken;
  }

  #isWhole() {
    return this.#headBytes === HEAD_BYTES && this.#bodyBytes === 0;
  }

  #next() {
    this.#headBytes = 0;
    return String.fromCharCode(this.#head[0]);
  }
}

/** Reads expected frames from a stream; the rest is available as chunks. */
export class Reader {
  #chunks;
  #rest = Buffer.alloc(0);

  constructor(stream) {
    this.#chunks = stream.iterator({ destroyOnReturn: false }); // there may be a last frame to write
  }

  /** Received bytes are copied only once, however small the chunks are. */
  async take(count) {
    const pieces = [this.#rest];
    let length = this.#rest.length;
    while (length < count) {
      const { value, done } = await this.#chunks.next();
      if (done) throw new Error("the connection was closed");
      pieces.push(value);
      length += value.length;
    }
    const received = pieces.length > 1 ? Buffer.concat(pieces, length) : this.#rest;
    this.#rest = received.subarray(count);
    return received.subarray(0, count);
  }

  /** A complete frame, for conversations with small frames. */
  async frame(bytesMax = FRAME_BYTES_MAX) {
    const head = await this.take(HEAD_BYTES);
    const count = bodyBytes(head);
    if (count > bytesMax) throw new Error("the frame is too large");
    const body = await this.take(count);
    return { type: String.fromCharCode(head[0]), body, bytes: Buffer.concat([head, body]) };
  }

  async *chunks() {
    if (this.#rest.length) yield this.#rest;
    yield* { [Symbol.asyncIterator]: () => this.#chunks };
  }
}

/** Settles when the bytes were sent or cannot be sent, so a writer waits for a slow reader. */
export function written(socket, bytes) {
  return new Promise((resolve) => socket.write(bytes, resolve));
}

const FRAME_BYTES_MAX = 1_000_000; // for a login; later frames are passed on in pieces
const BODY_MAX_BYTES = 1 << 30; // PostgreSQL's own limit for a message

function bodyBytes(head) {
  const count = head.readInt32BE(1) - 4;
  if (count < 0 || count > BODY_MAX_BYTES) throw new Error("this is not PostgreSQL's protocol");
  return count;
}
