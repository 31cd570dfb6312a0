// A fix for Pyodide 314.0.6 that the vendor's runtime contains too. Python's incremental garbage collector walks the
// frames of every thread state; the frames of a call that waits for its database may be on a stack that another call
// uses by now. The interpreter then crashes with "memory access out of bounds"
// (https://github.com/pyodide/pyodide/issues/6464). The fix hides the frames: a waiting call has no current frame.
// Later versions of Pyodide contain it.
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

/** The repaired source of pyodide.asm.mjs; throws an Error for another version. */
export function repaired(source) {
  return REPAIRS.reduce(replaceOnly, source);
}

/** Replaces a text that must occur exactly once: another version may differ. */
export function replaceOnly(source, [text, replacement]) {
  const parts = source.split(text);
  if (parts.length === 2) return parts.join(replacement);
  throw new Error(`an npm package has an unsupported version: \`${text}\` is in it ${parts.length - 1} times`);
}
