// A worker's output on its way to the supervisor: one console line per event, marked so that it differs from workerd's
// own lines and names the worker.
export const MARK = "\u0001mauntic:";

const print = console.log.bind(console);

/** Each text is an event; texts that are written together take one line. */
export function logTexts(worker, level, ...texts) {
  if (texts.length > 0) print(MARK + ascii(JSON.stringify({ worker, level, texts })));
}

/** The pipe is read in pieces that may end inside a character. */
function ascii(json) {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const TRACEBACK = "Traceback (most recent call last):";
const CHAINED = /^(During handling of the above|The above exception was)/;

// Python writes a traceback in many pieces. A piece that starts one, and the pieces that follow at once, are joined:
// one event with line breaks instead of forty events.
export class Stream {
  #decoder = new TextDecoder();
  #line = "";
  #traceback = [];

  constructor(worker, level) {
    this.worker = worker;
    this.level = level;
  }

  write(bytes) {
    this.#line += this.#decoder.decode(bytes, { stream: true });
    const lines = this.#line.split("\n");
    this.#line = lines.pop();
    this.#take(lines);
    return bytes.length;
  }

  #take(lines) {
    let plain = [];
    for (const line of lines) {
      if (this.#traceback.length === 0 && !line.startsWith(TRACEBACK)) {
        if (line !== "") plain.push(line);
        continue;
      }
      logTexts(this.worker, this.level, ...plain);
      plain = [];
      this.#gather(line);
    }
    logTexts(this.worker, this.level, ...plain);
  }

  #gather(text) {
    this.#traceback.push(text);
    const goesOn = text === "" || /^\s/.test(text) || text.endsWith(TRACEBACK) || CHAINED.test(text);
    if (!goesOn) queueMicrotask(() => this.flush());
  }

  flush() {
    const rest = this.#line;
    this.#line = "";
    if (rest !== "") this.#take([rest]);
    const text = this.#traceback.join("\n").trimEnd();
    this.#traceback = [];
    if (text !== "") logTexts(this.worker, this.level, text);
  }
}
