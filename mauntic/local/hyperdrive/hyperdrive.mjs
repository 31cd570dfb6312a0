// The local Hyperdrive: a pool between workers and database that lends each connection for one transaction.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { Client } from "./client.mjs";
import { emit } from "../common/events.mjs";
import { Failure } from "../common/failure.mjs";
import { Pool } from "./pool.mjs";

const ORIGIN_CONNECTIONS = 60; // as in `mauntic provision`
const LOOPBACK = new Set(["127.0.0.1", "localhost", "::1"]);

/** `url`: the address of the database for the workers. */
export async function openHyperdrive(databaseUrl) {
  const database = databaseUrl && partsOf(databaseUrl);
  if (!database || database.wantsEncryption) return { url: databaseUrl, close() {} };
  const door = { ...database, password: randomBytes(16).toString("hex") }; // keeps other programs out
  const pool = new Pool(database, ORIGIN_CONNECTIONS);
  const sockets = new Set();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    new Client(socket, pool, door, warn).serve();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: urlOf(door, server.address().port),
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      pool.close();
    },
  };
}

function warn(text) {
  emit("log", { worker: null, level: "warn", text });
}

function partsOf(text) {
  if (!URL.canParse(text)) throw new Failure("DATABASE_URL is not a URL.");
  const url = new URL(text);
  const [user, password, database] = [url.username, url.password, url.pathname.slice(1)].map(decodeURIComponent);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const sslmode = url.searchParams.get("sslmode");
  return {
    user: user || "postgres",
    password,
    host,
    port: Number(url.port || 5432),
    database: database || user || "postgres",
    wantsEncryption: sslmode !== "disable" && (sslmode !== null || !LOOPBACK.has(host)),
  };
}

function urlOf({ user, password, database }, port) {
  const [name, path] = [user, database].map(encodeURIComponent);
  return `postgresql://${name}:${password}@127.0.0.1:${port}/${path}`;
}
