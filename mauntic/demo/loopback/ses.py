"""Amazon SES: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mauntic.demo.loopback.aws_signature import is_signed
from mauntic.demo.loopback.provider import Answer, Call, Entry, Outcome, Provider, need

SINGLE, BULK = "/v2/email/outbound-emails", "/v2/email/outbound-bulk-emails"
BULK_MAX, BYTES_MAX = 50, 1_048_576


def _error(status: int, name: str, text: str) -> Answer:
    return Answer(status, {"message": text}, {"x-amzn-ErrorType": f"{name}:"})


BAD = _error(400, "BadRequestException", "The input you provided is invalid.")
FAILURES: dict[Outcome, Answer] = {
    "throttle": _error(429, "TooManyRequestsException", "Too many requests."),
    "unavailable": _error(503, "ServiceUnavailableException", "Try again later."),
    "error": _error(500, "InternalServiceErrorException", "An internal error occurred."),
    "credentials": _error(
        403, "InvalidSignatureException", "The request signature we calculated does not match."
    ),
}


class Ses(Provider):
    name = "ses"

    @property
    def hosts(self) -> tuple[str, ...]:  # type: ignore[override]
        return (f"email.{self.secrets['region']}.amazonaws.com",)

    def entries(self, call: Call) -> list[Entry]:
        names = ("accessKeyId", "secretAccessKey", "region")
        is_ours = is_signed(call, *(self.secrets[name] for name in names))
        need(is_ours, FAILURES["credentials"], "signature")
        need(call.method == "POST" and call.path in (SINGLE, BULK), Answer(404), "path")
        mail = call.json
        need(isinstance(mail, dict) and len(call.body) <= BYTES_MAX, BAD, "shape")
        is_configured = mail.get("ConfigurationSetName") == self.secrets["configurationSet"]
        unset = _error(404, "NotFoundException", "The configuration set does not exist.")
        need(is_configured, unset, "set")
        need(mail.get("FromEmailAddress", "").isascii(), BAD, "from")
        return _bulk(mail) if call.path == BULK else [_single(mail)]

    def answer(self, call: Call, entries: Sequence[Entry], outcomes: Sequence[Outcome]) -> Answer:
        ids = [str(uuid5(NAMESPACE_URL, entry.message_id)) for entry in entries]
        takes = self.takes(outcomes)
        if call.path == BULK:
            results = [_result(*pair) for pair in zip(ids, takes, strict=True)]
            return Answer(200, {"BulkEmailEntryResults": results})
        rejected = _error(400, "MessageRejected", "The address is not accepted.")
        return Answer(200, {"MessageId": ids[0]}) if takes[0] else rejected

    def takes(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """A recipient that is gone is accepted, and reported later."""
        return [outcome != "reject" for outcome in outcomes]

    def failure(self, outcome: Outcome) -> Answer:
        return FAILURES[outcome]


def _single(mail: dict[str, Any]) -> Entry:
    content = mail["Content"]["Simple"]
    need(content["Subject"]["Data"] and content["Body"], BAD, "content")
    return _entry(mail["Destination"], mail["EmailTags"])


def _bulk(mail: dict[str, Any]) -> list[Entry]:
    template = mail["DefaultContent"]["Template"]["TemplateContent"]
    need(template["Subject"] and (template["Html"] or template["Text"]), BAD, "template")
    records = mail["BulkEmailEntries"]
    need(0 < len(records) <= BULK_MAX, BAD, "size")
    for record in records:
        data = record["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]
        need(json.loads(data)["subject"], BAD, "values")
    return [_entry(record["Destination"], record["ReplacementTags"]) for record in records]


def _entry(destination: dict[str, Any], tags: list[dict[str, str]]) -> Entry:
    [to] = destination["ToAddresses"]
    return Entry({tag["Name"]: tag["Value"] for tag in tags}["message_id"], to)


def _result(message_id: str, takes: bool) -> dict[str, str]:
    if takes:
        return {"Status": "SUCCESS", "MessageId": message_id}
    return {"Status": "MESSAGE_REJECTED", "Error": "The address is not accepted."}
