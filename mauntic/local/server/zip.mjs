// Reads the files of a zip archive: enough for Pyodide's standard library.
import { inflateRawSync } from "node:zlib";

const END = 0x06054b50;
const DEFLATED = 8;

/** [[path, bytes]], without folders. */
export function unzip(archive) {
  const end = archive.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (end < 0 || archive.readUInt32LE(end) !== END) throw new Error("not a zip archive");
  const files = [];
  let at = archive.readUInt32LE(end + 16); // the central directory
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((o) => archive.readUInt16LE(at + o));
    const path = archive.toString("utf8", at + 46, at + 46 + nameLength);
    if (!path.endsWith("/")) files.push([path, content(archive, at)]);
    at += 46 + nameLength + extraLength + commentLength;
  }
  return files;
}

function content(archive, entry) {
  const header = archive.readUInt32LE(entry + 42);
  const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
  const bytes = archive.subarray(start, start + archive.readUInt32LE(entry + 20));
  return archive.readUInt16LE(entry + 10) === DEFLATED ? inflateRawSync(bytes) : bytes;
}
