"""Postmark: https://postmarkapp.com/developer/api/email-api"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mauntic.demo.loopback.provider import Answer, Call, Entry, Outcome, Provider, need

BULK_MAX = 500
CODES: dict[Outcome, tuple[int, str]] = {
    "accept": (0, "OK"),
    "reject": (300, "Invalid 'To' address."),
    "inactive": (406, "You tried to send to a recipient that has been marked as inactive."),
}
FAILURES: dict[Outcome, Answer] = {
    "throttle": Answer(429, {"ErrorCode": 429, "Message": "Rate limit exceeded."}),
    "unavailable": Answer(503, {"ErrorCode": 100, "Message": "Maintenance."}),
    "error": Answer(500, {"ErrorCode": 0, "Message": "Internal Server Error"}),
    "credentials": Answer(401, {"ErrorCode": 10, "Message": "No valid API token was given."}),
}


class Postmark(Provider):
    name = "postmark"
    hosts = ("api.postmarkapp.com",)

    def entries(self, call: Call) -> list[Entry]:
        token = call.headers.get("x-postmark-server-token")
        need(token == self.secrets["serverToken"], FAILURES["credentials"], "token")
        need(call.method == "POST", Answer(405), "method")
        is_bulk = call.path == "/email/batch"
        need(is_bulk or call.path == "/email", Answer(404), "path")
        found = call.json if is_bulk else [call.json]
        need(isinstance(found, list), _invalid(403, "Incompatible JSON"), "shape")
        need(len(found) <= BULK_MAX, _invalid(410, "Too many batch messages"), "size")
        return [self._entry(record) for record in found]

    def _entry(self, record: Any) -> Entry:
        need(isinstance(record, dict), _invalid(403, "Incompatible JSON"), "shape")
        is_sent_by = all(record.get(name) for name in ("From", "To", "Subject"))
        need(is_sent_by, _invalid(300, "Invalid email request"), "fields")
        has_body = record.get("HtmlBody") or record.get("TextBody")
        need(has_body, _invalid(300, "Provide either email TextBody or HtmlBody"), "body")
        streams = (self.secrets.get("broadcastStream"), self.secrets.get("stream", "outbound"))
        need(record.get("MessageStream") in streams, _invalid(1235, "No such stream"), "stream")
        return Entry(record["Metadata"]["message_id"], record["To"])

    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        results = [_result(*pair) for pair in zip(entries, outcomes, strict=True)]
        if call.path == "/email/batch":
            return Answer(200, results)
        return Answer(200 if outcomes[0] == "accept" else 422, results[0])

    def failure(self, outcome: Outcome) -> Answer:
        return FAILURES[outcome]


def _result(entry: Entry, outcome: Outcome) -> dict[str, Any]:
    code, text = CODES[outcome]
    if code:
        return {"ErrorCode": code, "Message": text}
    message_id = str(uuid5(NAMESPACE_URL, entry.message_id))
    return {"To": entry.to, "MessageID": message_id, "ErrorCode": 0, "Message": text}


def _invalid(code: int, text: str) -> Answer:
    return Answer(422, {"ErrorCode": code, "Message": text})
