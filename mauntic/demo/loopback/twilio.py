"""Twilio: https://www.twilio.com/docs/messaging/api/message-resource"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence

from mauntic.demo.loopback.provider import Answer, Call, Entry, Outcome, Provider, need

TEXT_CHARS_MAX = 1_600


def _error(status: int, code: int, text: str) -> Answer:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Answer(status, {"code": code, "message": text, "more_info": more, "status": status})


FAILURES: dict[Outcome, Answer] = {
    "throttle": _error(429, 20429, "Too Many Requests"),
    "unavailable": _error(503, 20503, "Service Unavailable"),
    "error": _error(500, 20500, "Internal Server Error"),
    "credentials": _error(401, 20003, "Authenticate"),
}
REFUSALS: dict[Outcome, Answer] = {
    "reject": _error(400, 21612, "The 'To' number cannot receive this message"),
    "inactive": _error(400, 21610, "Attempt to send to unsubscribed recipient"),
}


class Twilio(Provider):
    """A request does not carry our id, unless it names a callback: a message is its text's."""

    name = "twilio"
    channel = "sms"
    hosts = ("api.twilio.com",)

    def entries(self, call: Call) -> list[Entry]:
        account = self.secrets["accountSid"]
        key = b64encode(f"{account}:{self.secrets['authToken']}".encode()).decode()
        is_ours = call.headers.get("authorization") == f"Basic {key}"
        need(is_ours, FAILURES["credentials"], "key")
        path = f"/2010-04-01/Accounts/{account}/Messages.json"
        need((call.method, call.path) == ("POST", path), Answer(404), "path")
        form = call.form
        is_number = re.fullmatch(r"\+[1-9]\d{7,14}", form.get("To", ""))
        need(is_number, _error(400, 21211, "Invalid 'To' Phone Number"), "to")
        has_sender = form.get("From") == self.secrets["fromNumber"]
        need(has_sender, _error(400, 21606, "The 'From' number is not yours"), "from")
        body = form.get("Body", "")
        need(0 < len(body) <= TEXT_CHARS_MAX, _error(400, 21602, "Message body is required"), "")
        callback = form.get("StatusCallback", "")
        return [Entry(callback.rpartition("/")[2] or body, form["To"])]

    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        [outcome] = outcomes
        if outcome in REFUSALS:
            return REFUSALS[outcome]
        sid = "SM" + f"{abs(hash(entries[0])):032x}"[-32:]
        return Answer(201, {"sid": sid, "status": "queued", "error_code": None})

    def failure(self, outcome: Outcome) -> Answer:
        return FAILURES[outcome]
