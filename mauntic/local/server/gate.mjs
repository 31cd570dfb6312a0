// Access to the control API: only a local program with the token of this start.
import { createHash, timingSafeEqual } from "node:crypto";
import { Failure } from "../common/failure.mjs";

const LOCAL_HOST = /^(127\.0\.0\.1|localhost)(:\d{1,5})?$/;
const OWN_SITE = new Set([undefined, "none", "same-origin"]);

/** Refuses all other requests after reading only their head. */
export function admit({ headers }, token) {
  refuseWebPages(headers);
  const digest = (text) => createHash("sha256").update(text).digest();
  const isRight = timingSafeEqual(digest(headers.authorization ?? ""), digest(`Bearer ${token}`));
  if (!isRight) throw new Failure("The control API requires the token of the running system.", 401);
}

/** A web page in a browser can also reach the loopback interface. */
function refuseWebPages(headers) {
  const isLocal = LOCAL_HOST.test(headers.host ?? "");
  const isPage = headers.origin !== undefined || !OWN_SITE.has(headers["sec-fetch-site"]);
  if (!isLocal || isPage) throw new Failure("The control API answers only local programs.", 403);
}
