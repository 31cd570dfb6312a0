// A worker's files: staged by the build command of its env, read from the folder of its `main`.
import { exec } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Failure } from "../common/failure.mjs";
import { fromHere, resolve } from "./packages.mjs";
import { unzip } from "./zip.mjs";

const INSIDE = fileURLToPath(new URL("../in_python", import.meta.url));
const UPLOADED = /\.(py|sql|txt)$/; // the files of a worker that a deployment uploads
const NOT_CODE = /(^|\/)__pycache__\/|\.pyc$/;

export async function stage({ name, folder, main, build }) {
  if (build?.command) {
    try {
      await promisify(exec)(build.command, { cwd: build.cwd ?? folder });
    } catch (error) {
      const output = `${error.stderr}${error.stdout}`.trim();
      throw new Failure(`${name}: the build command \`${build.command}\` failed: ${output}`);
    }
  }
  if (!existsSync(main)) throw new Failure(`${name}: the build command did not write ${main}.`);
  return ownFiles(main);
}

function ownFiles(main) {
  if (basename(main) !== "entry.py") throw new Failure(`${main}: \`main\` must be named entry.py.`);
  return filesUnder(dirname(main)).filter(([path]) => UPLOADED.test(path));
}

export function vendoredFiles(modules) {
  if (!existsSync(join(modules, "workers"))) {
    throw new Failure(`${modules} does not contain the workers SDK: run \`make setup\`.`);
  }
  return filesUnder(modules).map(([path, bytes]) => [`python_modules/${path}`, bytes]);
}

/** Pyodide's standard library as separate files, because only files keep their bytecode. */
export function standardLibrary() {
  const archive = fromHere("pyodide/python_stdlib.zip", (file) => readFileSync(resolve(file)));
  return unzip(archive).map(([path, bytes]) => [`lib/${path}`, bytes]);
}

export function insideFiles() {
  return filesUnder(INSIDE).map(([path, bytes]) => [`inside/${path}`, bytes]);
}

function filesUnder(root) {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => [relative(root, file).split(sep).join("/"), file])
    .filter(([path]) => !NOT_CODE.test(path))
    .map(([path, file]) => [path, readFileSync(file)]);
}
