// Pyodide has its standard library as source, and compiling it takes most of a first start. The bytecode of the first
// interpreter is stored here and given to the next ones.
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

const KEPT = /^(lib|python_modules)\/.*__pycache__\/.*\.pyc$/; // never a worker's own files, which change

export class Bytecode {
  #compiled = new Map();
  #folder;
  #file;

  /** `sources`: the files of the bytecode; `folder`: its folder, or null. */
  constructor(folder, sources) {
    this.#folder = folder;
    if (!folder) return;
    this.#file = join(folder, `bytecode-${digest(sources)}.pack`);
    if (existsSync(this.#file)) this.#compiled = new Map(filesOf(readFileSync(this.#file)));
  }

  get isEmpty() {
    return this.#compiled.size === 0;
  }

  files() {
    return [...this.#compiled];
  }

  keep(buffer) {
    for (const [path, bytes] of filesOf(buffer)) {
      if (KEPT.test(path)) this.#compiled.set(path, bytes);
    }
    if (this.#folder && !this.isEmpty) this.#write();
  }

  #write() {
    mkdirSync(this.#folder, { recursive: true });
    const draft = `${this.#file}.${process.pid}`;
    writeFileSync(draft, pack(this.files()));
    renameSync(draft, this.#file);
    const old = readdirSync(this.#folder).filter((name) => /^bytecode-\w+\.pack$/.test(name));
    for (const name of old) {
      if (join(this.#folder, name) !== this.#file) rmSync(join(this.#folder, name), { force: true });
    }
  }
}

/** A buffer that is cut, because its sender or writer ended, has no files: the next interpreter compiles them again. */
function filesOf(buffer) {
  try {
    return [...unpack(buffer)];
  } catch {
    return [];
  }
}

function digest(sources) {
  const hash = createHash("sha256");
  for (const [path, bytes] of sources) hash.update(path).update("\0").update(bytes);
  return hash.digest("hex").slice(0, 16);
}
