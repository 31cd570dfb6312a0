// What a handler answers to each message of a batch. The first answer to a message counts; a retry
// of the batch, or an exception, retries every message, acknowledged or not (the local broker's
// rule, kept here so that the counts agree with it).
export function watch(batch) {
  const retries = new Map(); // message -> delay in seconds, or undefined
  const acked = new Set();
  let wholeBatch; // what ackAll or retryAll said first

  for (const message of batch.messages) {
    onCall(message, "ack", () => retries.has(message) || acked.add(message));
    onCall(message, "retry", (options) => {
      if (!acked.has(message) && !retries.has(message)) retries.set(message, options?.delaySeconds);
    });
  }
  onCall(batch, "ackAll", () => (wholeBatch ??= { retry: false }));
  onCall(batch, "retryAll", (options) => {
    wholeBatch ??= { retry: true, delaySeconds: options?.delaySeconds };
  });

  function answerTo(message, raised) {
    if (raised) return { answer: "exception" };
    const whole = wholeBatch?.retry ? { answer: "retry", delaySeconds: wholeBatch.delaySeconds } : null;
    if (!retries.has(message)) return whole ?? { answer: "ack" };
    return { answer: "retry", delaySeconds: retries.get(message) ?? whole?.delaySeconds };
  }

  return {
    attempts: () => batch.messages.map((message) => message.attempts),
    settled: (raised, tailed) =>
      batch.messages.map((message) => ({
        attempts: message.attempts,
        ...answerTo(message, raised),
        ...(tailed && { id: message.id, body: printable(message.body) }),
      })),
  };
}

/** Hears the call, then lets the runtime's own method have it. */
function onCall(target, name, hear) {
  const method = target[name];
  target[name] = (...args) => {
    method.apply(target, args); // first: a call that the runtime refuses is no answer
    hear(...args);
  };
}

function printable(body) {
  try {
    return JSON.parse(JSON.stringify(body));
  } catch {
    return String(body);
  }
}
