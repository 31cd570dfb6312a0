// The workers' `fetch` reaches this machine alone, and the hosts that `--allow-host` names: no
// provider and no recipient is reached by accident. A request to a host that `--connect-host` names
// goes to a server in its place. Imported before anything keeps `fetch`.
import { env } from "cloudflare:workers";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const allowed = new Set(env.LOCAL_ALLOWED_HOSTS ?? []);
const connected = new Map(Object.entries(env.LOCAL_CONNECTED_HOSTS ?? {}));
const { fetch } = globalThis;

class OutboundRefused extends Error {
  name = "OutboundRefused";
}

globalThis.fetch = async (input, init) => {
  const asked = new URL(input instanceof Request ? input.url : input);
  const origin = connected.get(asked.hostname);
  const { hostname } = origin ? new URL(origin) : asked;
  if (!LOOPBACK.test(hostname) && !allowed.has(hostname)) {
    throw new OutboundRefused(`the local runtime does not call ${hostname}: mauntic dev --allow-host ${hostname}`);
  }
  return origin ? fetch(inPlaceOf(asked, origin, input, init)) : fetch(input, init);
};

/** The same request to another origin, which finds the host that was asked for in a header. */
function inPlaceOf(asked, origin, input, init) {
  const asIs = new Request(input, init);
  const request = new Request(new URL(asked.pathname + asked.search, origin), asIs);
  request.headers.set("x-forwarded-host", asked.host);
  return request;
}
