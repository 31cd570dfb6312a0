"""A push service of browsers: RFC 8030, with the sender's token of RFC 8292."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from uuid import UUID

from mauntic.demo.loopback.jwt import Jwt
from mauntic.demo.loopback.provider import Answer, Call, Entry, Outcome, Provider, need

BODY_BYTES_MAX = 4_096
HEADER_BYTES_MIN = 16 + 4 + 1 + 65  # of RFC 8188, with an uncompressed point
DAY_S = 86_400
FAILURES: dict[Outcome, Answer] = {
    "throttle": Answer(429, "", {"Retry-After": "60"}),
    "unavailable": Answer(503),
    "error": Answer(500),
    "credentials": Answer(403, "invalid VAPID signature"),
}


class WebPush(Provider):
    """The content is for the browser alone: our id is in the header `Topic`."""

    name = "webpush"
    channel = "push"
    hosts = ("updates.push.services.mozilla.com",)

    def entries(self, call: Call) -> list[Entry]:
        need(self._is_ours(call), FAILURES["credentials"], "token")
        need(call.method == "POST" and call.path.startswith("/wpush/v2/"), Answer(404), "path")
        need(call.headers.get("ttl", "").isdigit(), Answer(400, "TTL"), "ttl")
        is_encrypted = call.headers.get("content-encoding") == "aes128gcm"
        need(is_encrypted and len(call.body) > HEADER_BYTES_MIN, Answer(400), "encryption")
        need(len(call.body) <= BODY_BYTES_MAX, Answer(413), "size")
        topic = call.headers.get("topic", "")
        need(re.fullmatch(r"[\w-]{1,32}", topic), Answer(400, "Topic"), "topic")
        return [Entry(str(UUID(topic)), f"https://{call.host}{call.path}")]

    def _is_ours(self, call: Call) -> bool:
        given = re.fullmatch(r"vapid t=([^,]+),k=(\S+)", call.headers.get("authorization", ""))
        token = Jwt.parse(given[1]) if given else None
        if token is None or given is None or given[2] != self.secrets["vapidPublicKey"]:
            return False
        left_s = token.claims["exp"] - time.time()
        is_here = token.claims["aud"] == f"https://{call.host}" and len(token.signature) == 64
        return is_here and 0 < left_s <= DAY_S and token.claims["sub"] == self.secrets["subject"]

    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        [outcome] = outcomes
        if outcome == "accept":
            location = f"https://{call.host}/m/{entries[0].message_id}"
            return Answer(201, "", {"Location": location})
        return Answer(413 if outcome == "reject" else 410)

    def failure(self, outcome: Outcome) -> Answer:
        return FAILURES[outcome]
