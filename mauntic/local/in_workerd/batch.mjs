// A handler's answers to the messages of a batch. The first answer to a message counts. A retry of the batch, or an
// exception, retries every message, acknowledged or not: the local broker's rule, repeated here so that the counts
// agree with it.
const answers = new WeakMap(); // message or batch -> its first answer

export function watch(batch) {
  observe(batch, { ackAll: "ack", retryAll: "retry" });
  if (batch.messages.length > 0) observe(batch.messages[0], { ack: "ack", retry: "retry" });

  function answerTo(message, raised) {
    if (raised) return { answer: "exception" };
    const own = answers.get(message);
    const batchAnswer = answers.get(batch);
    const retry = own?.answer === "retry" ? own : batchAnswer?.answer === "retry" ? batchAnswer : null;
    if (!retry) return { answer: "ack" };
    return { answer: "retry", delaySeconds: retry.delaySeconds ?? batchAnswer?.delaySeconds };
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

const observed = new WeakSet(); // prototypes, once each: a closure per message would accumulate

function observe(subject, methods) {
  const prototype = Object.getPrototypeOf(subject);
  if (observed.has(prototype)) return;
  observed.add(prototype);
  for (const [name, answer] of Object.entries(methods)) {
    const method = prototype[name];
    prototype[name] = function (...args) {
      method.apply(this, args); // first, because a call that the runtime refuses is no answer
      if (!answers.has(this)) answers.set(this, { answer, delaySeconds: args[0]?.delaySeconds });
    };
  }
}

function printable(body) {
  try {
    return JSON.parse(JSON.stringify(body));
  } catch {
    return String(body);
  }
}
