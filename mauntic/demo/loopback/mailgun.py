"""Mailgun: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from mauntic.demo.loopback.provider import Answer, Call, Entry, Outcome, Provider, need

FAILURES: dict[Outcome, Answer] = {
    "throttle": Answer(429, {"message": "Too Many Requests"}, {"X-RateLimit-Reset": "60"}),
    "unavailable": Answer(503, {"message": "Service Unavailable"}),
    "error": Answer(500, {"message": "Internal Server Error"}),
    "credentials": Answer(401, "Forbidden"),
}


class Mailgun(Provider):
    name = "mailgun"
    hosts = ("api.mailgun.net",)

    def entries(self, call: Call) -> list[Entry]:
        key = b64encode(f"api:{self.secrets['apiKey']}".encode()).decode()
        is_ours = call.headers.get("authorization") == f"Basic {key}"
        need(is_ours, FAILURES["credentials"], "key")
        path = f"/v3/{self.secrets['domain']}/messages"
        need((call.method, call.path) == ("POST", path), Answer(404, "not found"), "path")
        form = call.form
        for name in ("from", "to", "subject"):
            need(form.get(name), _missing(name), name)
        need(form.get("html") or form.get("text"), _missing("text"), "body")
        return [Entry(form["v:message_id"], form["to"])]

    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        if not self.takes(outcomes)[0]:
            text = "to parameter is not a valid address. please check documentation"
            return Answer(400, {"message": text})
        message_id = f"<{entries[0].message_id}@{self.secrets['domain']}>"
        return Answer(200, {"id": message_id, "message": "Queued. Thank you."})

    def takes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """A recipient that is gone is accepted, and reported later."""
        return [outcome != "reject" for outcome in outcomes]

    def failure(self, outcome: Outcome) -> Answer:
        return FAILURES[outcome]


def _missing(name: str) -> Answer:
    return Answer(400, {"message": f"{name} parameter is missing"})
