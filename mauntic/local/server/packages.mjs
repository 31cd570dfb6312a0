// The npm packages of this project; a missing one gives one sentence instead of a stack trace.
import { createRequire } from "node:module";
import { Failure } from "../common/failure.mjs";

const require = createRequire(import.meta.url);

export const resolve = (name) => require.resolve(name);

export function fromHere(name, load = require) {
  try {
    return load(name);
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND") throw error;
    throw new Failure(`The npm package ${name.split("/")[0]} is not installed: run \`make setup\`.`);
  }
}
