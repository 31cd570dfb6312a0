// The guard of workerd's own port. miniflare serves a program there that lets every caller choose a worker, read R2
// objects and reach the queues. This module wraps that program: a request needs the secret of this start. Only
// miniflare's own calls do not, because they have their own secret.
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { Failure } from "../common/failure.mjs";

const HEADER = "x-local-secret";
const ENTRY = /[\\/]workers[\\/]core[\\/]entry\.worker\.js$/;
const EXPORT = "entry_worker_default as default";
const OWN_CALLS = "/cdn-cgi/local/platform-proxy"; // its target checks miniflare's secret and the Host
const CLOSED = 403;

export class Door {
  #secret = randomBytes(32).toString("hex");

  /** The header that a request needs. */
  get headers() {
    return { [HEADER]: this.#secret };
  }

  /** Runs `start`, during which miniflare reads its entry; the secret is in no argument and no file. */
  async closedDuring(start) {
    const { readFileSync } = fs;
    fs.readFileSync = (path, ...options) => {
      const content = readFileSync(path, ...options);
      return ENTRY.test(String(path)) ? this.#guarded(String(content)) : content;
    };
    try {
      return await start();
    } finally {
      fs.readFileSync = readFileSync;
    }
  }

  /** Ends the start if a request without the secret succeeds, as it would after a change in miniflare. */
  async assertClosed(url) {
    const { status } = await fetch(url);
    if (status === CLOSED) return;
    throw new Failure(`workerd's port answers ${status} to any request: this version of miniflare is not supported.`);
  }

  #guarded(program) {
    if (!program.includes(EXPORT)) throw new Failure("miniflare's entry has changed: it cannot be guarded.");
    return `${program.replace(EXPORT, "guarded as default")}
const expected = new TextEncoder().encode(${JSON.stringify(this.#secret)});
function isExpected(text) {
  const given = new TextEncoder().encode(text);
  return given.length === expected.length && crypto.subtle.timingSafeEqual(given, expected);
}
const guarded = {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== ${JSON.stringify(OWN_CALLS)}) {
      if (!isExpected(request.headers.get(${JSON.stringify(HEADER)}) ?? "")) return new Response(null, { status: ${CLOSED} });
      request = new Request(request);
      request.headers.delete(${JSON.stringify(HEADER)});
    }
    return entry_worker_default.fetch(request, env, ctx);
  },
};
`;
  }
}
