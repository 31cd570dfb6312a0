// Many files in one buffer: the length of the index (4 bytes), the index as JSON, the contents. The server writes it
// and workerd reads it; there, unpacking a tar would take Python and time.
const encoder = new TextEncoder();

export function pack(files) {
  const index = encoder.encode(JSON.stringify(files.map(([path, bytes]) => [path, bytes.length])));
  const total = files.reduce((sum, [, bytes]) => sum + bytes.length, 4 + index.length);
  const buffer = new Uint8Array(total);
  new DataView(buffer.buffer).setUint32(0, index.length);
  buffer.set(index, 4);
  let offset = 4 + index.length;
  for (const [, bytes] of files) {
    buffer.set(bytes, offset);
    offset += bytes.length;
  }
  return buffer;
}

/** Yields [path, bytes] of each file; throws before the first if the buffer is cut. */
export function* unpack(buffer) {
  const bytes = new Uint8Array(buffer);
  const start = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const index = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const end = index.reduce((sum, [, length]) => sum + length, start);
  if (end !== bytes.length) throw new RangeError(`the pack has ${bytes.length} bytes instead of ${end}`);
  let offset = start;
  for (const [path, length] of index) {
    yield [path, bytes.subarray(offset, offset + length)];
    offset += length;
  }
}
