// The workers' metric points, in memory and optionally in a file of JSON lines.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";

const KEPT_MAX = 1_000_000; // about 500 MB; the oldest are dropped first

export class PointStore {
  #points = [];
  #file;

  constructor(file = null) {
    this.#file = file;
    if (!file) return;
    mkdirSync(dirname(file), { recursive: true });
    if (existsSync(file)) this.#points = readFileSync(file, "utf8").split("\n").flatMap(parsed);
  }

  add(worker, points) {
    const kept = points.map((point) => ({ worker, ...point }));
    if (this.#file) appendFileSync(this.#file, kept.map((point) => `${JSON.stringify(point)}\n`).join(""));
    this.#points.push(...kept);
    if (this.#points.length > KEPT_MAX) this.#points.splice(0, this.#points.length - KEPT_MAX);
  }

  since(ms) {
    return this.#points.filter((point) => point.at >= ms);
  }
}

/** A line that a crash cut off is skipped. */
function parsed(line) {
  try {
    return line ? [JSON.parse(line)] : [];
  } catch {
    return [];
  }
}
