"""Resend: https://resend.com/docs/api-reference/emails/send-email"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mauntic.demo.loopback.provider import Answer, Call, Entry, Outcome, Provider, Refused, need

BULK_MAX = 100
KEY_CHARS_MAX = 256


def _error(status: int, name: str, **headers: str) -> Answer:
    return Answer(status, {"statusCode": status, "name": name, "message": name}, headers)


FAILURES: dict[Outcome, Answer] = {
    "throttle": _error(429, "rate_limit_exceeded", **{"retry-after": "1"}),
    "unavailable": _error(503, "service_unavailable"),
    "error": _error(500, "application_error"),
    "credentials": _error(401, "missing_api_key"),
}


class Resend(Provider):
    """The repetition of a request has the answer of the first, and sends nothing."""

    name = "resend"
    hosts = ("api.resend.com",)

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        super().__init__(secrets)
        self._seen: dict[str, tuple[bytes, Answer]] = {}

    def side_answer(self, call: Call) -> Answer | None:
        body, answer = self._seen.get(call.headers.get("idempotency-key", ""), (b"", None))
        if answer is None or body == call.body:
            return answer
        return _error(409, "invalid_idempotent_request")

    def entries(self, call: Call) -> list[Entry]:
        given = call.headers.get("authorization")
        need(given == f"Bearer {self.secrets['apiKey']}", FAILURES["credentials"], "key")
        is_bulk = call.path == "/emails/batch"
        is_known = call.method == "POST" and (is_bulk or call.path == "/emails")
        need(is_known, _error(405, "method_not_allowed"), "path")
        key = call.headers.get("idempotency-key", "")
        need(len(key) <= KEY_CHARS_MAX, _error(400, "invalid_idempotency_key"), "idempotency key")
        found = call.json if is_bulk else [call.json]
        is_list = isinstance(found, list) and len(found) <= BULK_MAX
        need(is_list, _error(422, "validation_error"), "shape")
        return [_entry(record) for record in found]

    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        answer = self._answer(call, entries, outcomes)
        if answer.status == 200 and (key := call.headers.get("idempotency-key")):
            self._seen[key] = (call.body, answer)
        return answer

    def _answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        ids = [{"id": str(uuid5(NAMESPACE_URL, entry.message_id))} for entry in entries]
        if call.path == "/emails":
            return Answer(200, ids[0]) if self.takes(outcomes)[0] else _error(422, INVALID)
        refused = [number for number, takes in enumerate(self.takes(outcomes)) if not takes]
        if refused and call.headers.get("x-batch-validation") != "permissive":
            return _error(422, INVALID)
        data = [own for number, own in enumerate(ids) if number not in refused]
        errors = [{"index": number, "message": "Invalid `to` field."} for number in refused]
        return Answer(200, {"data": data, "errors": errors})

    def takes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """A recipient that is gone is accepted, and reported later."""
        return [outcome != "reject" for outcome in outcomes]

    def failure(self, outcome: Outcome) -> Answer:
        return FAILURES[outcome]


INVALID = "validation_error"


def _entry(record: Any) -> Entry:
    if not isinstance(record, dict):
        raise Refused(_error(422, INVALID), "shape")
    is_complete = all(record.get(name) for name in ("from", "to", "subject"))
    need(is_complete, _error(422, "missing_required_field"), "fields")
    need(record.get("html") or record.get("text"), _error(422, "missing_required_field"), "body")
    tags = {tag["name"]: tag["value"] for tag in record.get("tags", [])}
    [to] = record["to"]
    return Entry(tags["message_id"], to)
