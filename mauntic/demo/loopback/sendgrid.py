"""SendGrid: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from mauntic.demo.loopback.provider import Answer, Call, Entry, Outcome, Provider, need

BULK_MAX = 1_000
SUBSTITUTION_BYTES_MAX = 10_000


def _errors(status: int, text: str, **headers: str) -> Answer:
    error = {"message": text, "field": None, "help": None}
    return Answer(status, {"errors": [error]}, headers)


FAILURES: dict[Outcome, Answer] = {
    "throttle": _errors(429, "too many requests", **{"X-RateLimit-Reset": "60"}),
    "unavailable": _errors(503, "The service is unavailable."),
    "error": _errors(500, "An unexpected error occurred."),
    "credentials": _errors(401, "The provided authorization grant is invalid"),
}


class SendGrid(Provider):
    name = "sendgrid"
    hosts = ("api.sendgrid.com",)

    def entries(self, call: Call) -> list[Entry]:
        given = call.headers.get("authorization")
        need(given == f"Bearer {self.secrets['apiKey']}", FAILURES["credentials"], "key")
        need((call.method, call.path) == ("POST", "/v3/mail/send"), _errors(404, "path"), "path")
        mail = call.json
        need(isinstance(mail, dict), _errors(400, "Bad Request"), "shape")
        need(mail.get("from", {}).get("email"), _errors(400, "The from object is required"), "from")
        kinds = [part["type"] for part in mail.get("content", []) if part.get("value")]
        in_order = kinds in (["text/plain"], ["text/html"], ["text/plain", "text/html"])
        need(in_order, _errors(400, "text/plain must come first"), "content")
        people = mail.get("personalizations") or []
        need(0 < len(people) <= BULK_MAX, _errors(400, "personalizations"), "size")
        entries = [_entry(own, mail) for own in people]
        addresses = {entry.to.lower() for entry in entries}
        unique = "Each email address in the personalization block should be unique"
        need(len(addresses) == len(entries), _errors(400, unique), "twice")
        return entries

    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        if "reject" in outcomes:
            return _errors(400, "Does not contain a valid address.")
        return Answer(202, "", {"X-Message-Id": uuid4().hex[:22]})

    def takes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """A call is accepted or refused as a whole."""
        return ["reject" not in outcomes] * len(outcomes)

    def failure(self, outcome: Outcome) -> Answer:
        return FAILURES[outcome]


def _entry(own: dict[str, Any], mail: dict[str, Any]) -> Entry:
    need(own.get("subject") or mail.get("subject"), _errors(400, "The subject is required"), "none")
    pairs = own.get("substitutions", {}).items()
    used = sum(len(f"{name}{value}".encode()) for name, value in pairs)
    need(used <= SUBSTITUTION_BYTES_MAX, _errors(400, "substitutions are too large"), "size")
    [receiver] = own["to"]
    return Entry(own["custom_args"]["message_id"], receiver["email"])
