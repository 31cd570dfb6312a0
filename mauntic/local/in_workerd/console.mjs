// What a worker prints, on its way to the supervisor: one console line an event, marked so that the
// other end can tell it from workerd's own lines and knows which worker spoke.
export const MARK = "\u0001mauntic:";

const print = console.log.bind(console);

/** Each text is an event; what is said at once costs one line. */
export function say(worker, level, ...texts) {
  if (texts.length > 0) print(MARK + ascii(JSON.stringify({ worker, level, texts })));
}

/** The pipe is read in pieces that may end inside a character. */
function ascii(json) {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const TRACEBACK = "Traceback (most recent call last):";
const CHAINED = /^(During handling of the above|The above exception was)/;

// Python writes a traceback in many pieces. A piece that starts one, and what follows it without a
// pause, is kept together: a reader wants one event with line breaks, not forty events.
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
      say(this.worker, this.level, ...plain);
      plain = [];
      this.#gather(line);
    }
    say(this.worker, this.level, ...plain);
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
    if (text !== "") say(this.worker, this.level, text);
  }
}
