// Pyodide brings its standard library as source, and compiling it is most of a first start. What
// the first interpreter compiled is kept here and handed to the next ones.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pack, unpack } from "../common/pack.mjs";

const KEPT = /^(lib|python_modules)\/.*__pycache__\/.*\.pyc$/; // never a worker's own: those change

export class Bytecode {
  #compiled = new Map();
  #folder;
  #file;

  /** `sources`: the files that the bytecode belongs to; `folder`: where it is kept, or null. */
  constructor(folder, sources) {
    this.#folder = folder;
    if (!folder) return;
    this.#file = join(folder, `bytecode-${digest(sources)}.pack`);
    if (existsSync(this.#file)) this.#compiled = new Map(unpack(readFileSync(this.#file)));
  }

  get isEmpty() {
    return this.#compiled.size === 0;
  }

  files() {
    return [...this.#compiled];
  }

  keep(buffer) {
    for (const [path, bytes] of unpack(buffer)) {
      if (KEPT.test(path)) this.#compiled.set(path, bytes);
    }
    if (this.#folder) this.#write();
  }

  #write() {
    mkdirSync(this.#folder, { recursive: true });
    const beside = `${this.#file}.${process.pid}`;
    writeFileSync(beside, pack(this.files()));
    renameSync(beside, this.#file);
    const old = readdirSync(this.#folder).filter((name) => /^bytecode-\w+\.pack$/.test(name));
    for (const name of old) {
      if (join(this.#folder, name) !== this.#file) rmSync(join(this.#folder, name), { force: true });
    }
  }
}

function digest(sources) {
  const hash = createHash("sha256");
  for (const [path, bytes] of sources) hash.update(path).update("\0").update(bytes);
  return hash.digest("hex").slice(0, 16);
}
