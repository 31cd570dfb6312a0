// The internet's side of a worker that answers requests: an HTTP server of this machine in front of it. It requires no
// secret, because the worker itself must refuse what is wrong. Nothing but that worker's `fetch` can be reached.
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { emit } from "../common/events.mjs";
import { Failure } from "../common/failure.mjs";
import { LIMITS } from "./limits.mjs";

const CONNECTIONS_MAX = 256;
const WITHOUT_BODY = new Set(["GET", "HEAD"]);
const UNSUPPORTED = new Set(["TRACE", "TRACK", "CONNECT"]); // also by the platform
// Headers of the connection, which concern only the next hop.
const OF_THE_HOP = new Set(["connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"]);

export class Front {
  #runtime;
  #server;

  /** `env` names the worker, `variable` the one that gets the address; port 0 takes a free one. */
  constructor({ env, variable, port }) {
    Object.assign(this, { env, variable, port });
  }

  async open() {
    this.#server = createServer(LIMITS, (request, response) => {
      this.#answer(request, response).catch((error) => this.#fail(request, response, error));
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    await new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(portFailure(error, this.port, this.env)));
      this.#server.listen(this.port, "127.0.0.1", resolve);
    });
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Answers from now on; before, a request is refused. */
  serve(runtime) {
    this.#runtime = runtime;
  }

  async #answer(request, response) {
    if (!this.#runtime) return end(response, 503);
    if (UNSUPPORTED.has(request.method)) return end(response, 501);
    if (!request.url.startsWith("/") || !URL.canParse(this.url + request.url)) return end(response, 400);
    const { name } = this.#runtime.worker(this.env);
    const fetcher = await this.#runtime.fetcher(name);
    const answer = await this.#runtime.turns.run(name, () => fetcher.fetch(this.url + request.url, passedOn(request)));
    if (!request.complete) response.setHeader("connection", "close"); // the rest of the request is not read
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  }

  #fail(request, response, error) {
    if (response.headersSent || request.destroyed) return response.destroy();
    if (!request.complete) response.setHeader("connection", "close");
    if (isUnread(error)) return end(response, 413);
    if (!this.#runtime.isEnding) emit("log", { worker: null, level: "error", text: error.stack ?? String(error) });
    end(response, 500);
  }
}

/** Whether workerd has closed the connection of a body that its worker left unread. Its answer is lost then. */
const isUnread = (error) => ["EPIPE", "ECONNRESET", "UND_ERR_SOCKET"].includes(error?.cause?.code);

function passedOn(request) {
  const { method } = request;
  const headers = Object.entries(request.headersDistinct).flatMap(([name, values]) =>
    OF_THE_HOP.has(name) ? [] : values.map((value) => [name, value]),
  );
  const body = WITHOUT_BODY.has(method) ? {} : { body: Readable.toWeb(request), duplex: "half" };
  return { method, headers, redirect: "manual", ...body };
}

function end(response, status) {
  response.writeHead(status);
  response.end();
}

function portFailure(error, port, env) {
  if (error.code !== "EADDRINUSE") return error;
  return new Failure(`Port ${port}, for requests to ${env}, is taken by another program: end it, or choose another port.`);
}

/** Opens the fronts, and returns them with the variables that have their addresses. */
export async function openFronts(declared = [], vars = {}) {
  const fronts = declared.map((one) => new Front(one));
  await Promise.all(fronts.map((front) => front.open()));
  const addresses = Object.fromEntries(fronts.map(({ variable, url }) => [variable, url]));
  return { fronts, vars: { ...addresses, ...vars } };
}
