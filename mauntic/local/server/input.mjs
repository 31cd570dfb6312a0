// Validates the input of the control API: malformed input is refused with one sentence.
import { Failure } from "../common/failure.mjs";

/** The URL of a request. */
export function urlOf({ url }) {
  const base = "http://127.0.0.1";
  if (!url.startsWith("/") || !URL.canParse(url, base)) throw new Failure("The path is malformed.");
  return new URL(url, base);
}

export function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Failure("The path is malformed.");
  }
}

export function parsed(body) {
  try {
    return body.length > 0 ? JSON.parse(body.toString()) : {};
  } catch {
    throw new Failure("The body is not JSON.");
  }
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value) => typeof value === "string";

export function object(value) {
  if (!isObject(value)) throw new Failure("The body must be a JSON object.");
  return value;
}

export function messages(value) {
  if (!Array.isArray(value)) throw new Failure("The body must be a list of messages.");
  if (!value.every(isObject)) throw new Failure("Each message must be a JSON object.");
  return value;
}

export function text(value, what) {
  if (!isText(value)) throw new Failure(`${what} must be a string.`);
  return value;
}

export function texts(value, what) {
  if (!Array.isArray(value) || !value.every(isText)) throw new Failure(`${what} must be a list of strings.`);
  return value;
}

export function number(value, what) {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    throw new Failure(`${what} must be a number that is not negative.`);
  }
  return value;
}
