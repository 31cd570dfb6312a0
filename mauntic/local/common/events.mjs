// Standard output carries events, one JSON object a line, for the supervisor.
import { MARK } from "../in_workerd/console.mjs";

export function emit(event, fields = {}) {
  process.stdout.write(lineOf(event, fields));
}

const lineOf = (event, fields) => `${JSON.stringify({ event, ...fields })}\n`;

const LEVELS = { debug: "info", log: "info", info: "info", warn: "warn", error: "error" };
// workerd's complaint about an exception that its host has told already, with the traceback.
const TOLD = /^(Uncaught|workerd\/io\/|.*jsg\.Error: )/;

/** A line of a worker carries its name; others are workerd's own. */
export function onRuntimeLine({ level, message }) {
  if (message.startsWith(MARK)) emitTexts(JSON.parse(message.slice(MARK.length)));
  else if (!TOLD.test(message)) emit("log", { worker: null, level: LEVELS[level] ?? "info", text: message });
}

/** A line on runtime native, where no host marks it: our own lines name their worker where they can. */
export function onNativeLine({ level, message }) {
  emit("log", { worker: workerOf(message), level: LEVELS[level] ?? "info", text: message });
}

function workerOf(message) {
  if (!message.startsWith("{")) return null;
  try {
    const { worker } = JSON.parse(message);
    return typeof worker === "string" ? worker : null;
  } catch {
    return null;
  }
}

function emitTexts({ texts, ...said }) {
  process.stdout.write(texts.map((text) => lineOf("log", { ...said, text })).join(""));
}
