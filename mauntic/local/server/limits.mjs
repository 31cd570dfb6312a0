// Time limits for clients of the HTTP servers on this machine.
import http from "node:http";

export const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 20_000, // for receiving the request; an answer has no limit
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
};
const FORBIDDEN = 403;

/** Applies the limits to the HTTP servers that `start` creates: miniflare sets none. */
export async function limitedDuring(start) {
  const { createServer } = http;
  http.createServer = (listener) => createServer(LIMITS, unreadWhereRefused(listener));
  try {
    return await start();
  } finally {
    http.createServer = createServer;
  }
}

/** Closes a refused connection, however much the client still sends. */
function unreadWhereRefused(listener) {
  return (request, response) => {
    response.once("finish", () => {
      if (response.statusCode === FORBIDDEN && !request.complete) request.destroy();
    });
    return listener(request, response);
  };
}
