// The same workers on workerd's own Python. workerd fetches the vendor's Pyodide bundle when it
// first starts one, so this needs the network; everything else stays local.
const TYPES = [
  [/\.py$/, "PythonModule"],
  [/\.(sql|txt|html)$/, "Text"],
];
const VENDORED = /^python_modules\//;
const JAVASCRIPT = /\.m?js$/;

/** `staged`: worker -> its own files; `shared`: the vendored ones, as for the hosts. */
export function nativeWorkers({ workers, flags = [] }, staged, shared) {
  const vendored = shared.filter(([path]) => VENDORED.test(path)).map(vendoredModule);
  return workers.map(({ name, folder, options }) => ({
    ...options,
    name,
    modulesRoot: folder, // module names are paths below it: bare names, as in an upload
    modules: [...mainFirst(staged.get(name)).map(ownModule), ...vendored],
    compatibilityFlags: [...(options.compatibilityFlags ?? []), ...flags],
  }));
}

function mainFirst(files) {
  const isMain = ([path]) => path === "entry.py";
  return [...files.filter(isMain), ...files.filter((file) => !isMain(file))];
}

function ownModule([path, bytes]) {
  const [, type] = TYPES.find(([pattern]) => pattern.test(path));
  return { type, path, contents: new TextDecoder().decode(bytes) };
}

function vendoredModule([path, bytes]) {
  if (!JAVASCRIPT.test(path)) return { type: "Data", path, contents: bytes };
  return { type: "ESModule", path, contents: new TextDecoder().decode(bytes) };
}
