// One Python interpreter with one worker's modules imported: npm's Pyodide inside workerd.
import * as cloudflareSockets from "cloudflare:sockets";
import * as cloudflareWorkers from "cloudflare:workers";
import { hideGlobals, restoreGlobals } from "./prelude.mjs"; // before Pyodide: see there
import { Stream } from "./console.mjs";
import { unpack } from "../common/pack.mjs";
import { instantiate } from "./webassembly.mjs";
import createPyodideModule from "./pyodide.asm.mjs";
import { loadPyodide, version } from "./pyodide.mjs";
import pyodideWasm from "./pyodide.asm.wasm";

const SITE = "/session/metadata"; // production's folder for own files; vendored ones are in a sub-folder
const INSIDE = "/session/runtime"; // the package `_cloudflare`
const SOURCE_TIME = new Date(0); // one time for every source, so that stored bytecode stays valid
/** How far the clock of Python is ahead, in milliseconds. */
export const clock = { aheadMs: 0 };

const lockFileContents = {
  info: { abi_version: "2026_0", arch: "wasm32", platform: "emscripten_5_0_3", version },
  packages: {},
};

/** Starts an interpreter; throws a PythonError with the traceback if an import fails. */
export async function boot(worker, files, publicEnv) {
  const guard = { onEntropy: () => 0, onClock: () => {} };
  const stdout = new Stream(worker, "info");
  const stderr = new Stream(worker, "error");
  const [library, others] = split(unpack(files));
  const pyodide = await start(guard, library);
  pyodide.setStdout({ write: (bytes) => stdout.write(bytes), isatty: false });
  pyodide.setStderr({ write: (bytes) => stderr.write(bytes), isatty: false });
  for (const [path, bytes] of others) writeFile(pyodide.FS, path, bytes);
  await registerModules(pyodide, publicEnv);
  return importWorker(pyodide, guard);
}

async function start(guard, library) {
  hideGlobals();
  try {
    return await loadPyodide({
      indexURL: "http://pyodide.invalid/",
      packageBaseUrl: "http://pyodide.invalid/",
      lockFileContents,
      env: { HOME: "/session", PYTHONHASHSEED: "111", PYTHONUNBUFFERED: "1" },
      checkAPIVersion: false,
      createPyodideModule: (settings) => createPyodideModule(forWorkerd(settings, guard, library)),
    });
  } finally {
    restoreGlobals();
  }
}

function forWorkerd(settings, guard, library) {
  settings.instantiateWasm = (imports, done) => {
    const marker = Symbol("error marker");
    imports.env.Jsv_GetError_import = () => marker;
    imports.env.JsvError_Check = (value) => value === marker;
    watchSystem(imports, guard);
    instantiate(pyodideWasm, imports).then((instance) => {
      guard.memory = instance.exports.memory;
      done(instance, pyodideWasm);
    });
    return {};
  };
  settings.preRun[0] = (module) => install(module, library); // Pyodide's own function would fetch an archive
  return settings;
}

/** The last functions in every request for randomness or the clock. */
function watchSystem(imports, guard) {
  const { random_get: fill, clock_time_get: read } = imports.wasi_snapshot_preview1;
  imports.wasi_snapshot_preview1.random_get = (...args) => guard.onEntropy() || fill(...args);
  imports.wasi_snapshot_preview1.clock_time_get = (id, precision, target) => {
    guard.onClock();
    const status = read(id, precision, target);
    if (id === REALTIME && clock.aheadMs !== 0) moveOn(guard.memory, target);
    return status;
  };
}

const REALTIME = 0;

/** Adds to a time in the memory: 64 bits, in nanoseconds. */
function moveOn(memory, target) {
  const view = new DataView(memory.buffer);
  const now = view.getBigUint64(target >>> 0, true);
  view.setBigUint64(target >>> 0, now + BigInt(clock.aheadMs) * 1_000_000n, true);
}

function install({ API, FS, HEAPU32, _Py_Version }, library) {
  const packed = HEAPU32[_Py_Version >>> 2];
  const [major, minor, micro] = [packed >>> 24, (packed >>> 16) & 255, (packed >>> 8) & 255];
  API.pyVersionTuple = [major, minor, micro];
  const root = `/lib/python${major}.${minor}`;
  API.sitePackages = `${root}/site-packages`;
  FS.mkdirTree(API.sitePackages);
  FS.mkdirTree(`${root}/lib-dynload`);
  for (const [path, bytes] of library) writeFile(FS, path, bytes);
}

const LIBRARY = "lib/";

function split(files) {
  const all = [...files];
  const isLibrary = ([path]) => path.startsWith(LIBRARY);
  return [all.filter(isLibrary), all.filter((file) => !isLibrary(file))];
}

const PLACES = [
  [LIBRARY, "/lib/python314.zip/"], // a folder: sys.path equals production's, and bytecode can be stored
  ["inside/", `${INSIDE}/`],
  ["", `${SITE}/`],
];

function writeFile(FS, path, bytes) {
  const [prefix, place] = PLACES.find(([itsPrefix]) => path.startsWith(itsPrefix));
  const target = place + path.slice(prefix.length);
  FS.mkdirTree(target.slice(0, target.lastIndexOf("/")));
  FS.writeFile(target, bytes);
  FS.utime(target, SOURCE_TIME, SOURCE_TIME);
}

/** [[path, bytes]] of the interpreter's compiled files, with the names that `boot` expects. */
export function compiled(pyodide) {
  const { FS } = pyodide;
  pyodide.pyimport("_cloudflare.bytecode").compile_imported();
  return PLACES.flatMap(([prefix, place]) =>
    bytecodeUnder(FS, place.slice(0, -1)).map((file) => [
      prefix + file.slice(place.length),
      FS.readFile(file),
    ]),
  );
}

function bytecodeUnder(FS, folder) {
  return FS.readdir(folder)
    .filter((name) => name !== "." && name !== "..")
    .map((name) => `${folder}/${name}`)
    .flatMap((path) => {
      if (FS.isDir(FS.stat(path).mode)) return bytecodeUnder(FS, path);
      return path.endsWith(".pyc") ? [path] : [];
    });
}

async function registerModules(pyodide, publicEnv) {
  pyodide.registerJsModule("_pyodide_entrypoint_helper", {
    doAnImport: (name) => import(name),
    cloudflareWorkersModule: { ...cloudflareWorkers, env: publicEnv },
    cloudflareSocketsModule: cloudflareSockets,
    patchWaitUntil: acceptAwaitables,
  });
  pyodide.registerJsModule("_cloudflare_compat_flags", {
    python_workflows_implicit_dependencies: true,
    python_request_headers_preserve_commas: true,
  });
  await pyodide._api.initializeNodeSockFS(cloudflareSockets.connect); // for Python's socket module
}

/** In production ctx.waitUntil accepts Python awaitables. */
function acceptAwaitables(ctx) {
  const waitUntil = ctx.waitUntil.bind(ctx);
  ctx.waitUntil = (awaitable) => {
    if (typeof awaitable?.copy !== "function") return waitUntil(awaitable);
    const kept = awaitable.copy(); // the caller's reference ends with the call
    waitUntil(Promise.resolve(kept).finally(() => kept.destroy()));
  };
}

const PREPARE = `
import site, sys
version = f"{sys.version_info.major}.{sys.version_info.minor}"
sys.path = [path for path in sys.path if path and "site-packages" not in path] + ["${INSIDE}"]
from _cloudflare import guard, limits
limits.install()
guard.start()
sys.path.append("${SITE}/python_modules")
site.addsitedir("${SITE}/python_modules")  # honours the .pth files
sys.path.append(f"/lib/python{version}/site-packages")
sys.path.append("${SITE}")
sys.path.append(f"/session/lib/python{version}/site-packages")
`;

/** The paths of open files. */
const openFiles = ({ FS }) => FS.streams.filter(Boolean).map((stream) => stream.path);

/** Wraps JavaScript functions that production refuses during an import; returns the function that restores them. */
function refuseDuringImport(importGuard) {
  const refuse = (what) => () => {
    throw new Error(importGuard.on_javascript(what));
  };
  const { fetch } = globalThis;
  globalThis.fetch = refuse("sent a request (js.fetch)");
  const value = refuse("requested randomness (js.crypto.randomUUID)");
  Object.defineProperty(crypto, "randomUUID", { value, configurable: true });
  return () => {
    globalThis.fetch = fetch;
    delete crypto.randomUUID;
  };
}

function importWorker(pyodide, guard) {
  pyodide.runPython(PREPARE);
  const importGuard = pyodide.pyimport("_cloudflare.guard");
  const dispatch = pyodide.pyimport("_cloudflare.dispatch");
  const holdsInterpreter = () => pyodide._module._PyGILState_Check() === 1;
  guard.onEntropy = () => (holdsInterpreter() ? importGuard.on_entropy() : 0);
  guard.onClock = () => holdsInterpreter() && importGuard.on_clock();
  const restore = refuseDuringImport(importGuard);
  const openBefore = new Set(openFiles(pyodide));
  const started = performance.now();
  let entry;
  try {
    entry = pyodide.pyimport("entry");
  } finally {
    guard.onEntropy = () => 0;
    guard.onClock = () => {};
    restore();
  }
  importGuard.finish(pyodide.toPy(openFiles(pyodide).filter((path) => !openBefore.has(path))));
  const importMs = Math.round(performance.now() - started);
  return { pyodide, dispatch, importMs, Default: dispatch.entrypoint_class(entry) };
}
