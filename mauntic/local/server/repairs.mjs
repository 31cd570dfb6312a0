// A fault of Pyodide 314.0.6 that the vendor's runtime repairs in the same way: Python's incremental
// garbage collector walks the frames of every thread state, and those of a call that waits for its
// database may lie on a stack that another call uses by now. The interpreter then dies of "memory access
// out of bounds" (https://github.com/pyodide/pyodide/issues/6464). So the walk is kept from them: a call
// that waits has no current frame. Pyodide after 314.0.6 does so by itself.
const CURRENT_FRAME = 52; // of PyThreadState, in bytes
const FRAME = `HEAP32[(state.threadState + ${CURRENT_FRAME}) / 4]`;

const REPAIRS = [
  [
    "return{threadState,stackState,suspender:suspenderGlobal.value}",
    "const state={threadState,stackState,suspender:suspenderGlobal.value};" +
      `state.currentFrame=${FRAME};${FRAME}=0;return state`,
  ],
  [
    "_restoreThreadState(state.threadState);",
    `_restoreThreadState(state.threadState);${FRAME}=state.currentFrame;`,
  ],
];

/** The source of pyodide.asm.mjs, repaired; an Error for another version than it was written for. */
export function repaired(source) {
  return REPAIRS.reduce(replaceOnly, source);
}

/** The source with the text replaced, which has to be there once: another version may differ. */
export function replaceOnly(source, [text, replacement]) {
  const parts = source.split(text);
  if (parts.length === 2) return parts.join(replacement);
  throw new Error(`an npm package has another version than local/ was written for: \`${text}\` is in it ${parts.length - 1} times`);
}
