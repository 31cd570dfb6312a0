// Imported before Pyodide. While its modules are evaluated, and while an interpreter is created, Pyodide reads the
// globals to detect its platform; workerd's imitation of Node would mislead it. These globals are hidden in the
// meantime.
import "./outbound.mjs";

const { process, addEventListener, fetch } = globalThis;
const BASE = "http://pyodide.invalid/"; // for Pyodide's relative URLs

export function hideGlobals() {
  globalThis.process = undefined;
  globalThis.addEventListener = () => {}; // workerd refuses the event names that Pyodide listens to
  // Pyodide starts to fetch its files although it receives them.
  globalThis.fetch = async (input, init) =>
    String(input).startsWith(BASE) ? new Response() : fetch(input, init);
}

export function restoreGlobals() {
  Object.assign(globalThis, { process, addEventListener, fetch });
}

globalThis.location ??= new URL(BASE);
hideGlobals();
