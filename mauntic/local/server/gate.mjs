// Who may speak to the control API: a local program that knows the token of this start.
import { createHash, timingSafeEqual } from "node:crypto";
import { Failure } from "../common/failure.mjs";

const LOCAL_HOST = /^(127\.0\.0\.1|localhost)(:\d{1,5})?$/;
const OWN_SITE = new Set([undefined, "none", "same-origin"]);

/** Refuses all others, before anything of the request but its head is read. */
export function admit({ headers }, token) {
  refuseWebPages(headers);
  const digest = (text) => createHash("sha256").update(text).digest();
  const isRight = timingSafeEqual(digest(headers.authorization ?? ""), digest(`Bearer ${token}`));
  if (!isRight) throw new Failure("The control API wants the token of the running system.", 401);
}

/** A web page in a browser reaches the loopback interface too. */
function refuseWebPages(headers) {
  const isLocal = LOCAL_HOST.test(headers.host ?? "");
  const isPage = headers.origin !== undefined || !OWN_SITE.has(headers["sec-fetch-site"]);
  if (!isLocal || isPage) throw new Failure("The control API answers local programs only.", 403);
}
