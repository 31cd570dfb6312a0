// Imported before Pyodide. While its modules are evaluated, and again while an interpreter is
// created, Pyodide looks at the globals to find out where it runs; workerd's imitation of Node
// would mislead it. These globals are hidden for as long as that takes.
import "./outbound.mjs";

const { process, addEventListener, fetch } = globalThis;
const BASE = "http://pyodide.invalid/"; // of Pyodide's relative URLs

export function hideGlobals() {
  globalThis.process = undefined;
  globalThis.addEventListener = () => {}; // workerd refuses the event names that Pyodide listens to
  // Pyodide starts to fetch its files although it is handed them.
  globalThis.fetch = async (input, init) =>
    String(input).startsWith(BASE) ? new Response() : fetch(input, init);
}

export function restoreGlobals() {
  Object.assign(globalThis, { process, addEventListener, fetch });
}

globalThis.location ??= new URL(BASE);
hideGlobals();
