// The workers' `fetch` reaches this machine alone, and the hosts that `--allow-host` names: no
// provider and no recipient is reached by accident. Imported before anything keeps `fetch`.
import { env } from "cloudflare:workers";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const allowed = new Set(env.LOCAL_ALLOWED_HOSTS ?? []);
const { fetch } = globalThis;

class OutboundRefused extends Error {
  name = "OutboundRefused";
}

globalThis.fetch = async (input, init) => {
  const { hostname } = new URL(input instanceof Request ? input.url : input);
  if (!LOOPBACK.test(hostname) && !allowed.has(hostname)) {
    throw new OutboundRefused(`the local runtime does not call ${hostname}: mauntic dev --allow-host ${hostname}`);
  }
  return fetch(input, init);
};
