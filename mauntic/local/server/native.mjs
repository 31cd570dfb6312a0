// The same workers on workerd's own Python. workerd downloads the vendor's Pyodide bundle when it first starts such a
// worker, which needs the network; everything else stays local.
import { manifest, workerConfig } from "./options.mjs";

const TYPES = [
  [/\.py$/, "python"],
  [/\.(sql|txt|html)$/, "text"],
];
const VENDORED = /^python_modules\//;
const JAVASCRIPT = /\.m?js$/;

/** `staged`: worker -> its own files; `shared`: the vendored files, as for the hosts. Module names are paths below the
 * worker's folder, as in an upload. */
export function nativeWorkers({ workers, flags = [] }, staged, shared) {
  const vendored = shared.filter(([path]) => VENDORED.test(path)).map(vendoredModule);
  return workers.map((worker) => {
    const modules = manifest([...mainFirst(staged.get(worker.name)).map(ownModule), ...vendored]);
    return { config: workerConfig(worker, modules, [...(worker.compatibilityFlags ?? []), ...flags]) };
  });
}

function mainFirst(files) {
  const isMain = ([path]) => path === "entry.py";
  return [...files.filter(isMain), ...files.filter((file) => !isMain(file))];
}

function ownModule([path, bytes]) {
  const [, type] = TYPES.find(([pattern]) => pattern.test(path));
  return [path, { type, contents: new TextDecoder().decode(bytes) }];
}

function vendoredModule([path, bytes]) {
  if (!JAVASCRIPT.test(path)) return [path, { type: "data", contents: bytes }];
  return [path, { type: "esm", contents: new TextDecoder().decode(bytes) }];
}
