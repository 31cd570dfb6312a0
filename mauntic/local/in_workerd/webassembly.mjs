// workerd compiles no WebAssembly from bytes. Dynamic libraries (pydantic_core) and Emscripten's small trampolines are
// such bytes, so they use the unsafe-eval binding, which only a local runtime may have.
import { env } from "cloudflare:workers";

const { Module, instantiate: instantiateModule } = WebAssembly;

function compile(source) {
  const bytes = source instanceof Uint8Array ? source : new Uint8Array(source.buffer ?? source);
  return env.LOCAL_EVAL.newWasmModule(bytes);
}

export function instantiate(module, imports) {
  return instantiateModule.call(WebAssembly, module, imports);
}

WebAssembly.Module = new Proxy(Module, { construct: (_target, [source]) => compile(source) });
WebAssembly.instantiate = async (source, imports) => {
  if (source instanceof Module) return instantiate(source, imports);
  const module = compile(source);
  return { module, instance: await instantiate(module, imports) };
};
