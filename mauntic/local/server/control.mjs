// The control API: HTTP with JSON on the loopback interface, one route per line.
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { bindingsOf } from "./bindings.mjs";
import { emit } from "../common/events.mjs";
import { Failure } from "../common/failure.mjs";
import { admit } from "./gate.mjs";
import * as input from "./input.mjs";
import { LIMITS } from "./limits.mjs";

const BODY_BYTES_MAX = 64 * 1024 * 1024; // an object; every other body is JSON
const JSON_BYTES_MAX = 16 * 1024 * 1024; // a hundred messages of 128 kB
const CONNECTIONS_MAX = 512;
const KEY_BYTES_MAX = 1_024; // as in production
const MOMENT_MAX = 8.64e15; // the last time that JavaScript supports
const AHEAD_MAX_MS = 10 * 366 * 86_400_000;

/** [method, path, handler]; a path's capitals are arguments, in order, after (runtime, given). */
const ROUTES = [
  ["GET", "/health", () => ({ ok: true, pid: process.pid })],
  ["GET", "/workers", (runtime) => describeWorkers(runtime)],
  ["POST", "/cron", runCron],
  ["POST", "/fetch", runFetch],
  ["POST", "/reload", reload],
  ["GET", "/queues", (runtime) => json(runtime, "queues")],
  ["POST", "/queues/idle", waitIdle],
  ["POST", "/queues/QUEUE/messages", send],
  ["POST", "/queues/QUEUE/pause", (runtime, _given, queue) => pause(runtime, "pause", queue)],
  ["POST", "/queues/QUEUE/resume", (runtime, _given, queue) => pause(runtime, "resume", queue)],
  ["GET", "/queues/QUEUE/tail", tail],
  ["GET", "/r2/BUCKET", listObjects],
  ["GET", "/r2/BUCKET/KEY", readObject],
  ["PUT", "/r2/BUCKET/KEY", writeObject],
  ["DELETE", "/r2/BUCKET/KEY", deleteObject],
  ["GET", "/metrics", (runtime, { query }) => runtime.points.since(since(query))],
  ["GET", "/memory", describeMemory],
  ["POST", "/clock", setClock],
];

/** Listens, and resolves to the server's address. A request must have the token. */
export async function listen(runtime, port, token) {
  const server = createServer(LIMITS, (request, response) => {
    answer(runtime, request, response, token).catch((error) => fail(runtime, request, response, error));
  });
  server.maxConnections = CONNECTIONS_MAX;
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

async function answer(runtime, request, response, token) {
  admit(request, token);
  const url = input.urlOf(request);
  const { handler, args } = route(request.method, url.pathname);
  const body = await readBody(request, handler === writeObject ? BODY_BYTES_MAX : JSON_BYTES_MAX);
  const given = { body, query: url.searchParams, json: () => input.parsed(body), request };
  const result = await handler(runtime, given, ...args);
  if (result instanceof Response) return stream(response, result);
  reply(response, 200, result ?? null);
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

const decoded = (parts) => parts.map(input.decoded).join("/");

async function readBody(request, bytesMax) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > bytesMax) throw new Failure(`This body has at most ${bytesMax} bytes.`, 413);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function reply(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function fail({ isEnding }, request, response, error) {
  const failure = error instanceof RangeError ? new Failure("The body is nested too deeply.") : error;
  const isExpected = failure instanceof Failure;
  if (!isExpected && !isEnding && !request.destroyed) {
    emit("log", { worker: null, level: "error", text: failure.stack });
  }
  if (response.headersSent) return response.destroy();
  if (!request.complete) response.setHeader("connection", "close"); // the rest of the request is not read
  reply(response, isExpected ? failure.status : 500, { error: failure.message });
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
  return workers.map(({ env, name, bindings, crons, consumers }) => ({
    env,
    name,
    runtime: isNative ? "native" : "host",
    crons,
    queues: Object.keys(consumers),
    buckets: bindingsOf(bindings, "r2").map(([, bucket]) => bucket.name),
  }));
}

async function runCron(runtime, { json }) {
  const { worker, cron, scheduledTime = Date.now() } = input.object(json());
  const { name } = runtime.worker(worker);
  if (typeof cron !== "string") throw new Failure("`cron` must be a text such as `0 * * * *`.");
  if (input.number(scheduledTime, "`scheduledTime`") > MOMENT_MAX) throw new Failure("`scheduledTime` is not a valid time.");
  const fetcher = await runtime.fetcher(name);
  const event = { cron, scheduledTime: new Date(scheduledTime) };
  const { outcome } = await runtime.turns.run(name, () => fetcher.scheduled(event));
  if (outcome === "ok") return { outcome };
  const response = await runtime.askControl("cron-error", { worker: name, cron, scheduledTime });
  return { outcome: "exception", error: (await response.json()).error ?? `the worker ended with ${outcome}` };
}

async function runFetch(runtime, { json }) {
  const { worker, url, method = "GET", headers = {}, body = null } = input.object(json());
  const { name } = runtime.worker(worker);
  const fetcher = await runtime.fetcher(name);
  const request = { method, headers, body, redirect: "manual" };
  assertSendable(url, request);
  const answer = await runtime.turns.run(name, () => fetcher.fetch(url, request).catch(asErrorPage));
  const answerHeaders = Object.fromEntries(answer.headers);
  return { status: answer.status, headers: answerHeaders, body: await answer.text() };
}

function assertSendable(url, request) {
  try {
    new Request(input.text(url, "`url`"), request);
  } catch (error) {
    throw new Failure(`The request is invalid: ${error.message}.`);
  }
}

/** In production an exception in a worker returns a page with status 500. */
function asErrorPage(error) {
  return new Response(error.message, { status: 500 });
}

async function reload(runtime, { json }) {
  const workers = await runtime.reload(input.object(json()).worker ?? null);
  const failed = Object.entries(workers).find(([, outcome]) => outcome.error);
  emit("reloaded", { ok: !failed, workers });
  return { ok: !failed, workers, stale: runtime.isStale };
}

const since = (query) => input.number(Number(query.get("since") ?? 0), "`since`");

async function json(runtime, path, value) {
  return (await runtime.askControl(path, value)).json();
}

function checkedQueue(runtime, queue) {
  if (Object.hasOwn(runtime.queues, queue)) return `/${encodeURIComponent(queue)}`;
  const names = Object.keys(runtime.queues).join(", ");
  throw new Failure(`No started worker knows a queue named ${queue}; there are ${names}.`, 404);
}

function waitIdle(runtime, { json: read }) {
  const { queues, timeout_ms, quiet_ms } = input.object(read());
  for (const queue of input.texts(queues ?? [], "`queues`")) checkedQueue(runtime, queue);
  input.number(timeout_ms ?? 0, "`timeout_ms`");
  input.number(quiet_ms ?? 0, "`quiet_ms`");
  return json(runtime, "idle", { queues, timeout_ms, quiet_ms });
}

async function send(runtime, { json: read }, queue) {
  const path = `send${checkedQueue(runtime, queue)}`;
  if (!runtime.queues[queue].consumer) {
    throw new Failure(`No started worker consumes ${queue}: the local broker would drop it.`, 409);
  }
  const messages = input.messages(read());
  for (const { delaySeconds } of messages) input.number(delaySeconds ?? 0, "`delaySeconds`");
  const outcome = await json(runtime, path, messages);
  if (outcome.error) {
    const limit = "a message has at most 128,000 bytes";
    throw new Failure(`${outcome.sent} sent, then refused (${limit}): ${outcome.error}`);
  }
  return outcome;
}

function pause(runtime, action, queue) {
  if (!runtime.isNative) return json(runtime, action + checkedQueue(runtime, queue), {});
  throw new Failure("Runtime native cannot pause: deliveries would use up attempts.", 501);
}

async function tail(runtime, _given, queue) {
  if (runtime.isNative) throw new Failure("Runtime native has no tail: it does not report answers.", 501);
  const { status, body } = await runtime.askControl(`tail${checkedQueue(runtime, queue)}`);
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

async function readObject(runtime, _given, bucketName, key) {
  assertKey(key);
  const object = await (await runtime.bucket(bucketName)).get(key);
  if (!object) throw new Failure(`${bucketName} has no object ${key}.`, 404);
  const headers = { "content-type": "application/octet-stream", etag: object.httpEtag };
  return new Response(await object.arrayBuffer(), { headers });
}

async function writeObject(runtime, { body }, bucketName, key) {
  assertKey(key);
  return described(await (await runtime.bucket(bucketName)).put(key, new Uint8Array(body)));
}

async function deleteObject(runtime, _given, bucketName, key) {
  assertKey(key);
  await (await runtime.bucket(bucketName)).delete(key);
  return { deleted: key };
}

function assertKey(key) {
  if (Buffer.byteLength(key) > KEY_BYTES_MAX) throw new Failure(`A key has at most ${KEY_BYTES_MAX} bytes.`);
}

async function setClock(runtime, { json }) {
  const { ahead_ms: aheadMs } = input.object(json());
  if (Math.abs(input.number(aheadMs, "`ahead_ms`")) > AHEAD_MAX_MS) {
    throw new Failure("`ahead_ms` is at most ten years.");
  }
  return runtime.setClock(Math.trunc(aheadMs));
}

async function describeMemory(runtime) {
  return { workers: await runtime.memory(), processes: runtime.processes() };
}
