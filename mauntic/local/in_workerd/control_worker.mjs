// The control worker. It runs next to the workers in the same workerd, has a producer for every queue, and counts every
// message from its sending to its last answer, as its hosts report it. For runtime native, which has no hosts, the
// broker counts all messages that are not acknowledged (counting.mjs).
import { WorkerEntrypoint, env } from "cloudflare:workers";
import { Tally } from "./message_counts.mjs";
import { Tails } from "./tails.mjs";

const settings = JSON.parse(env.QUEUES); // name -> the consumer's settings and the producer's binding
const tallies = new Map(Object.keys(settings).map((name) => [name, new Tally(settings[name])]));
const tails = new Tails();
const cronErrors = new Map();
const paused = new Set();
const held = new Set(); // {queue, oldestAt} of each batch that a pause holds back after the broker has delivered it

const PAUSE_POLL_MS = 20;
const IDLE_POLL_MS = 5;
const SEND_MAX = 100; // messages per sendBatch, as in production
const SEND_BYTES_MAX = 256_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const cronKey = (...parts) => parts.join(" ");

/** The hosts call this. */
export class Counts extends WorkerEntrypoint {
  sending(queue, delays) {
    return tallies.get(queue)?.sending(delays);
  }

  notSent(queue, receipt) {
    tallies.get(queue)?.notSent(receipt);
  }

  // A paused queue holds its batch here, before the worker gets it: no attempt is used up.
  async begin(queue, attempts, oldestAt) {
    const batch = { queue, oldestAt };
    held.add(batch);
    while (paused.has(queue)) await sleep(PAUSE_POLL_MS);
    held.delete(batch);
    return { ticket: tallies.get(queue).begin(attempts), tailed: tails.has(queue) };
  }

  end(queue, ticket, answers, lingers) {
    settle(queue, ticket, answers, lingers);
  }

  left(queue, ticket) {
    tallies.get(queue).left(ticket);
  }

  cronFailed(worker, cron, scheduledTime, error) {
    cronErrors.set(cronKey(worker, cron, scheduledTime), error);
  }
}

function settle(queue, ticket, answers, lingers) {
  const dead = tallies.get(queue).end(ticket, answers, lingers);
  tallies.get(settings[queue].deadLetterQueue)?.arrived(dead);
  tails.add(queue, answers);
}

/** The server calls this over HTTP. */
export default class extends WorkerEntrypoint {
  async fetch(request) {
    const url = new URL(request.url);
    const [action, queue] = url.pathname.slice(1).split("/").map(decodeURIComponent);
    const input = request.method === "POST" ? await request.json() : null;
    switch (action) {
      case "queues":
        return Response.json(await describeAll());
      case "send":
        return Response.json(await send(queue, input));
      case "idle":
        return Response.json(await idle(input));
      case "tail":
        return new Response(tails.stream(queue), { headers: { "content-encoding": "identity" } });
      case "pause":
        paused.add(queue);
        return Response.json({ paused: true });
      case "resume":
        paused.delete(queue);
        return Response.json({ paused: false });
      case "settled":
        return Response.json(abandon(queue, input.batches));
      case "load":
        return Response.json(await env[`HOST_${queue}`].load());
      case "clock":
        return Response.json(await env[`HOST_${queue}`].setClock(input.aheadMs));
      case "memory":
        return Response.json(await env[`HOST_${queue}`].memory());
      case "cron-error":
        return Response.json(takeCronError(input));
    }
    return new Response(null, { status: 404 });
  }
}

async function describeAll() {
  const entries = [...tallies.keys()].map(async (name) => {
    const backlog = await env[settings[name].binding].metrics();
    const waiting = {
      unacked: backlog.backlogCount, // the broker's count
      oldestMessageAt: oldestOf(name, backlog),
      backlogBytes: backlog.backlogBytes,
    };
    const { binding: _binding, ...own } = settings[name];
    return [name, { ...(await countsOf(name)), ...waiting, paused: paused.has(name), ...own }];
  });
  return Object.fromEntries(await Promise.all(entries));
}

function oldestOf(name, { oldestMessageTimestamp }) {
  const heldBack = [...held].filter(({ queue }) => queue === name).map(({ oldestAt }) => oldestAt);
  const times = [Number(oldestMessageTimestamp ?? 0), ...heldBack].filter(Boolean);
  return times.length > 0 ? Math.min(...times) : null;
}

async function send(queue, messages) {
  const producer = env[settings[queue].binding];
  const tally = tallies.get(queue);
  let sent = 0;
  for (const part of portions(messages.map(outgoing))) {
    const receipt = tally.sending(part.map((message) => message.delaySeconds));
    try {
      await producer.sendBatch(part);
      sent += part.length;
    } catch (error) {
      tally.notSent(receipt);
      return { sent, error: error.message };
    }
  }
  return { sent };
}

/** Splits messages for sendBatch. The broker refuses a message that is too large for any batch. */
function* portions(messages) {
  let part = [];
  let partBytes = 0;
  for (const message of messages) {
    const bytes = new TextEncoder().encode(JSON.stringify(message.body)).length;
    if (part.length > 0 && (part.length === SEND_MAX || partBytes + bytes > SEND_BYTES_MAX)) {
      yield part;
      [part, partBytes] = [[], 0];
    }
    part.push(message);
    partBytes += bytes;
  }
  if (part.length > 0) yield part;
}

function outgoing({ body, contentType = "json", delaySeconds }) {
  return { body, contentType, ...(delaySeconds != null && { delaySeconds }) };
}

/** Hosts know about work after an answer, the broker about all unanswered messages. */
async function areIdle(names) {
  if (env.HAS_HOSTS && !names.every((name) => tallies.get(name).isEmpty())) return false;
  const backlogs = await Promise.all(names.map((name) => env[settings[name].binding].metrics()));
  return backlogs.every(({ backlogCount }) => backlogCount === 0);
}

/** Without hosts it is unknown which of the unacknowledged messages wait. */
async function countsOf(name) {
  if (env.HAS_HOSTS) return tallies.get(name).counts();
  const { backlogCount } = await env[settings[name].binding].metrics();
  return { waiting: backlogCount, delayed: 0, inFlight: 0 };
}

async function idle({ timeout_ms = 30_000, queues = null, quiet_ms = 0 }) {
  const names = queues ?? [...tallies.keys()];
  const end = Date.now() + timeout_ms;
  let idleSince = null;
  for (;;) {
    const now = Date.now();
    const isIdle = await areIdle(names);
    idleSince = isIdle ? (idleSince ?? now) : null;
    const isQuiet = isIdle && now - idleSince >= quiet_ms;
    if (isQuiet || now >= end) {
      const counts = names.map(async (name) => [name, await countsOf(name)]);
      return { idle: isQuiet, queues: Object.fromEntries(await Promise.all(counts)) };
    }
    await sleep(IDLE_POLL_MS);
  }
}

/** The broker has settled `settled` batches of the queue. A host reports the end of a batch before the broker knows it:
 * if fewer ends were reported, hosts were cancelled midway. */
function abandon(queue, settledBatches) {
  const abandoned = tallies.get(queue)?.unreported(settledBatches) ?? [];
  for (const { ticket, attempts } of abandoned) settle(queue, ticket, attempts.map(asException));
  return { abandoned: abandoned.length };
}

const asException = (attempts) => ({ attempts, answer: "exception" });

function takeCronError({ worker, cron, scheduledTime }) {
  const key = cronKey(worker, cron, scheduledTime);
  const error = cronErrors.get(key) ?? null;
  cronErrors.delete(key);
  return { error };
}
