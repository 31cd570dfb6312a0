// How long a client of an HTTP server on this machine may take to say what it wants.
import http from "node:http";

export const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 20_000, // until the request has come; an answer may take as long as it takes
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
};
const FORBIDDEN = 403;

/** Has the HTTP servers that `start` makes keep to the limits: miniflare's has none of its own. */
export async function limitedDuring(start) {
  const { createServer } = http;
  http.createServer = (listener) => createServer(LIMITS, unreadWhereRefused(listener));
  try {
    return await start();
  } finally {
    http.createServer = createServer;
  }
}

/** A client that is refused is left, however much it still has to say. */
function unreadWhereRefused(listener) {
  return (request, response) => {
    response.once("finish", () => {
      if (response.statusCode === FORBIDDEN && !request.complete) request.destroy();
    });
    return listener(request, response);
  };
}
