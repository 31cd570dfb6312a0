// The control API: HTTP with JSON on the loopback interface, one route a line.
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { emit } from "./events.mjs";
import { Failure } from "./failure.mjs";

const BODY_BYTES_MAX = 64 * 1024 * 1024;

/** [method, path, handler]; a path's capitals are arguments, in order, after (runtime, input). */
const ROUTES = [
  ["GET", "/health", () => ({ ok: true, pid: process.pid })],
  ["GET", "/workers", (runtime) => describeWorkers(runtime)],
  ["POST", "/cron", runCron],
  ["POST", "/fetch", runFetch],
  ["POST", "/reload", reload],
  ["GET", "/queues", (runtime) => json(runtime, "queues")],
  ["POST", "/queues/idle", waitIdle],
  ["POST", "/queues/QUEUE/messages", send],
  ["POST", "/queues/QUEUE/pause", (runtime, _input, queue) => pause(runtime, "pause", queue)],
  ["POST", "/queues/QUEUE/resume", (runtime, _input, queue) => pause(runtime, "resume", queue)],
  ["GET", "/queues/QUEUE/tail", tail],
  ["GET", "/r2/BUCKET", listObjects],
  ["GET", "/r2/BUCKET/KEY", readObject],
  ["PUT", "/r2/BUCKET/KEY", writeObject],
  ["DELETE", "/r2/BUCKET/KEY", deleteObject],
  ["GET", "/metrics", (runtime, { query }) => runtime.points.since(Number(query.get("since") ?? 0))],
  ["GET", "/memory", describeMemory],
];

/** Listens, and resolves to the server's address. */
export async function listen(runtime, port) {
  const server = createServer((request, response) => {
    answer(runtime, request, response).catch((error) => fail(runtime, response, error));
  });
  server.requestTimeout = 0; // waiting for idle queues, and tails, take as long as they take
  await new Promise((resolve, reject) => {
    server.once("error", (error) => reject(portFailure(error, port)));
    server.listen(port, "127.0.0.1", resolve);
  });
  return `http://127.0.0.1:${server.address().port}`;
}

function portFailure(error, port) {
  if (error.code !== "EADDRINUSE") return error;
  return new Failure(`Port ${port} is taken by another program: end it, or choose another port.`);
}

async function answer(runtime, request, response) {
  refuseForeign(request);
  const url = new URL(request.url, "http://127.0.0.1");
  const { handler, args } = route(request.method, url.pathname);
  const body = await readBody(request);
  const input = { body, query: url.searchParams, json: () => parse(body), request };
  const result = await handler(runtime, input, ...args);
  if (result instanceof Response) return stream(response, result);
  reply(response, 200, result ?? null);
}

/** A web page in a browser may reach the loopback interface too: it must not get in. */
function refuseForeign({ headers }) {
  const { host = "", origin } = headers;
  const isLocal = /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host);
  if (!isLocal || origin) throw new Failure("The control API answers local programs only.", 403);
}

function route(method, path) {
  const parts = path.split("/");
  for (const [itsMethod, pattern, handler] of ROUTES) {
    const args = itsMethod === method ? match(pattern.split("/"), parts) : null;
    if (args) return { handler, args };
  }
  throw new Failure(`There is no ${method} ${path}.`, 404);
}

function match(pattern, parts) {
  const args = [];
  for (const [index, name] of pattern.entries()) {
    const isLast = index === pattern.length - 1;
    if (name === "KEY") return parts.length > index ? [...args, decoded(parts.slice(index))] : null;
    if (name && name === name.toUpperCase() && parts[index]) args.push(decoded([parts[index]]));
    else if (name !== parts[index]) return null;
    if (isLast && parts.length > pattern.length) return null;
  }
  return args;
}

const decoded = (parts) => parts.map(decodeURIComponent).join("/");

async function readBody(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) throw new Failure(`A body has at most ${BODY_BYTES_MAX} bytes.`, 413);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parse(body) {
  try {
    return body.length > 0 ? JSON.parse(body.toString()) : {};
  } catch {
    throw new Failure("The body is no JSON.");
  }
}

function reply(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function fail({ isEnding }, response, error) {
  if (!(error instanceof Failure) && !isEnding) emit("log", { worker: null, level: "error", text: error.stack });
  if (response.headersSent) return response.destroy();
  reply(response, error instanceof Failure ? error.status : 500, { error: error.message });
}

function stream(response, { status, headers, body }) {
  response.writeHead(status, Object.fromEntries(headers));
  response.flushHeaders();
  if (!body) return response.end();
  const readable = Readable.fromWeb(body);
  response.on("close", () => readable.destroy());
  readable.on("error", () => response.destroy());
  readable.pipe(response);
}

function describeWorkers({ workers, isNative }) {
  return workers.map(({ env, name, options }) => ({
    env,
    name,
    runtime: isNative ? "native" : "host",
    crons: options.cronTriggers ?? [],
    queues: Object.keys(options.queueConsumers ?? {}),
    buckets: Object.values(options.r2Buckets ?? {}).map(({ id }) => id),
  }));
}

async function runCron(runtime, { json }) {
  const { worker, cron, scheduledTime = Date.now() } = json();
  const { name } = runtime.worker(worker);
  if (typeof cron !== "string") throw new Failure("`cron` must be a text such as `0 * * * *`.");
  const fetcher = await runtime.fetcher(name);
  const { outcome } = await fetcher.scheduled({ cron, scheduledTime: new Date(scheduledTime) });
  if (outcome === "ok") return { outcome };
  const told = await runtime.ledger("cron-error", { worker: name, cron, scheduledTime });
  return { outcome: "exception", error: (await told.json()).error ?? `the worker ended with ${outcome}` };
}

async function runFetch(runtime, { json }) {
  const { worker, url, method = "GET", headers = {}, body = null } = json();
  const fetcher = await runtime.fetcher(worker);
  const request = { method, headers, body, redirect: "manual" };
  const answer = await fetcher.fetch(url, request).catch(asErrorPage);
  const answerHeaders = Object.fromEntries(answer.headers);
  return { status: answer.status, headers: answerHeaders, body: await answer.text() };
}

/** An exception in a worker is a page with status 500 in production. */
function asErrorPage(error) {
  return new Response(error.message, { status: 500 });
}

async function reload(runtime, { json }) {
  const workers = await runtime.reload(json().worker ?? null);
  const failed = Object.entries(workers).find(([, outcome]) => outcome.error);
  emit("reloaded", { ok: !failed, workers });
  return { ok: !failed, workers, stale: runtime.isStale };
}

async function json(runtime, path, input) {
  return (await runtime.ledger(path, input)).json();
}

function known(runtime, queue) {
  if (runtime.queues[queue]) return `/${encodeURIComponent(queue)}`;
  const names = Object.keys(runtime.queues).join(", ");
  throw new Failure(`No started worker knows a queue named ${queue}; there are ${names}.`, 404);
}

function waitIdle(runtime, { json: input }) {
  const wanted = input();
  for (const queue of wanted.queues ?? []) known(runtime, queue);
  return json(runtime, "idle", wanted);
}

async function send(runtime, { json: input }, queue) {
  const path = `send${known(runtime, queue)}`;
  if (!runtime.queues[queue].consumer) {
    throw new Failure(`No started worker consumes ${queue}: the local broker would drop it.`, 409);
  }
  const messages = input();
  if (!Array.isArray(messages)) throw new Failure("The body must be a list of messages.");
  const outcome = await json(runtime, path, messages);
  if (outcome.error) {
    const limit = "a message has at most 128,000 bytes";
    throw new Failure(`${outcome.sent} sent, then refused (${limit}): ${outcome.error}`);
  }
  return outcome;
}

function pause(runtime, action, queue) {
  if (!runtime.isNative) return json(runtime, action + known(runtime, queue), {});
  throw new Failure("runtime native delivers without us: a pause would spend attempts.", 501);
}

async function tail(runtime, _input, queue) {
  if (runtime.isNative) throw new Failure("runtime native answers without us: no tail.", 501);
  const { status, body } = await runtime.ledger(`tail${known(runtime, queue)}`);
  return new Response(body, { status, headers: { "content-type": "application/jsonl" } });
}

async function listObjects(runtime, { query }, bucketName) {
  const bucket = await runtime.bucket(bucketName);
  const objects = [];
  let cursor;
  do {
    const page = await bucket.list({ prefix: query.get("prefix") ?? undefined, cursor });
    objects.push(...page.objects.map(described));
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor);
  return objects;
}

function described({ key, size, etag, uploaded }) {
  return { key, size, etag, uploaded: new Date(uploaded).toISOString() };
}

async function readObject(runtime, _input, bucketName, key) {
  const object = await (await runtime.bucket(bucketName)).get(key);
  if (!object) throw new Failure(`${bucketName} has no object ${key}.`, 404);
  const headers = { "content-type": "application/octet-stream", etag: object.httpEtag };
  return new Response(await object.arrayBuffer(), { headers });
}

async function writeObject(runtime, { body }, bucketName, key) {
  return described(await (await runtime.bucket(bucketName)).put(key, new Uint8Array(body)));
}

async function deleteObject(runtime, _input, bucketName, key) {
  await (await runtime.bucket(bucketName)).delete(key);
  return { deleted: key };
}

async function describeMemory(runtime) {
  return { workers: await runtime.memory(), processes: runtime.processes() };
}
