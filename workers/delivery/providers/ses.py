"""Amazon SES, API version 2: SendEmail for one message, SendBulkEmail for several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import Adapter, HttpRequest, Secrets
from delivery.providers.answers import (
    DEFER,
    PAUSE,
    REFUSED,
    RETRY,
    UNKNOWN,
    Codes,
    accepted,
    decide,
    json_of,
    list_at,
    safe_code,
    same_for_all,
    text_at,
)
from delivery.providers.bodies import (
    JSON_TYPE,
    ascii_reply_to,
    ascii_sender,
    headers,
    json_bytes,
    json_size_bytes,
    named_values,
    without_empty,
)
from delivery.providers.secrets import label, required
from delivery.providers.sigv4 import Credentials, signed_headers
from delivery.providers.sns import SnsWebhooks
from shared.ports import Crypto, HttpResponse

CODES: Codes = {
    "TooManyRequestsException": DEFER,
    "LimitExceededException": DEFER,
    "AccountSuspendedException": PAUSE,
    "SendingPausedException": PAUSE,
    "MailFromDomainNotVerifiedException": PAUSE,
    "NotFoundException": PAUSE,
    "MessageRejected": REFUSED,
    "BadRequestException": REFUSED,
}
# Of an entry of SendBulkEmail. Any other status means that the account or its configuration cannot
# send, as the last seven do.
STATUSES: Codes = {
    "MESSAGE_REJECTED": REFUSED,
    "INVALID_PARAMETER": REFUSED,
    "ACCOUNT_THROTTLED": DEFER,
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": DEFER,
    "TRANSIENT_FAILURE": RETRY,
    "FAILED": RETRY,
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": PAUSE,
    "CONFIGURATION_SET_NOT_FOUND": PAUSE,
    "TEMPLATE_NOT_FOUND": PAUSE,
    "ACCOUNT_SUSPENDED": PAUSE,
    "INVALID_SENDING_POOL_NAME": PAUSE,
    "ACCOUNT_SENDING_PAUSED": PAUSE,
    "CONFIGURATION_SET_SENDING_PAUSED": PAUSE,
}
# "SES doesn't escape HTML content when rendering the HTML template": a value is inserted as it is.
# Only two braces are documented for an inline template; the others are Handlebars', of stored ones.
# https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-advanced.html
TEMPLATE = {"Subject": "{{subject}}", "Html": "{{html}}", "Text": "{{text}}"}
ENTRY_CHARS_MAX = 262_144
HEADERS_MAX = 15
REQUEST_BYTES_MAX = 1_000_000


class Ses(SnsWebhooks, Adapter):
    """Amazon SES. Its webhooks come through Amazon SNS."""

    provider_type = "ses"
    required = ("region", "accessKeyId", "secretAccessKey", "configurationSet")
    hosts = ("*.amazonaws.com",)
    optional = ("topicArn",)
    bulk_max = 50
    call_bytes_max = REQUEST_BYTES_MAX - 10_000

    def entry_bytes(self, message: OutgoingEmail) -> int | None:
        is_small = len(_template_data(message)) <= ENTRY_CHARS_MAX
        return json_size_bytes(_entry(message)) if is_small else None

    async def request(
        self,
        messages: Sequence[OutgoingEmail],
        secrets: Secrets,
        call_id: str,
        now: datetime,
        crypto: Crypto,
    ) -> HttpRequest:
        del call_id, crypto
        region = label(secrets, "region")
        body = {"ConfigurationSetName": required(secrets, "configurationSet")}
        body |= _bulk(messages) if len(messages) > 1 else _single(messages[0])
        path = "outbound-bulk-emails" if len(messages) > 1 else "outbound-emails"
        url = f"https://email.{region}.amazonaws.com/v2/email/{path}"
        key = Credentials(required(secrets, "accessKeyId"), required(secrets, "secretAccessKey"))
        data = json_bytes(body)
        types = {"Content-Type": JSON_TYPE}
        signed = signed_headers(url, types, data, key, region, "ses", now)
        return HttpRequest("POST", url, signed, data)

    def verdicts(
        self, messages: Sequence[OutgoingEmail], response: HttpResponse, now: datetime
    ) -> list[Verdict]:
        answer = json_of(response)
        if response.status != 200:
            return same_for_all(decide(response, now, CODES, _code(response, answer)), messages)
        if len(messages) == 1:
            message_id = text_at(answer, "MessageId")
            return [accepted(message_id) if message_id else UNKNOWN]
        results = list_at(answer, "BulkEmailEntryResults")
        if len(results) != len(messages):
            return same_for_all(UNKNOWN, messages)
        return [_of_entry(result, response, now) for result in results]


def _single(message: OutgoingEmail) -> dict[str, Any]:
    parts = {"Html": str(message.html), "Text": str(message.text)}
    content = {
        "Subject": _utf8(str(message.subject)),
        "Body": {name: _utf8(text) for name, text in parts.items() if text},
        "Headers": named_values(headers(message)),
    }
    return _sender(message) | {
        "Destination": {"ToAddresses": [message.to]},
        "Content": {"Simple": content},
        "EmailTags": _tags(message),
    }


def _bulk(messages: Sequence[OutgoingEmail]) -> dict[str, Any]:
    template = {"TemplateContent": TEMPLATE, "TemplateData": "{}"}
    return _sender(messages[0]) | {
        "DefaultContent": {"Template": template},
        "BulkEmailEntries": [_entry(message) for message in messages],
    }


def _entry(message: OutgoingEmail) -> dict[str, Any]:
    data = {"ReplacementTemplateData": _template_data(message)}
    return {
        "Destination": {"ToAddresses": [message.to]},
        "ReplacementTags": _tags(message),
        "ReplacementEmailContent": {"ReplacementTemplate": data},
        "ReplacementHeaders": named_values(headers(message)),
    }


def _template_data(message: OutgoingEmail) -> str:
    values = {"subject": message.subject, "html": message.html, "text": message.text}
    return json.dumps({name: str(text) for name, text in values.items()}, ensure_ascii=False)


def _sender(message: OutgoingEmail) -> dict[str, Any]:
    replies = [ascii_reply_to(message)] if message.reply_to else []
    return without_empty({"FromEmailAddress": ascii_sender(message), "ReplyToAddresses": replies})


def _tags(message: OutgoingEmail) -> list[dict[str, str]]:
    return named_values({"message_id": message.message_id})


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}


def _code(response: HttpResponse, answer: Any) -> str:
    """Return the name of the exception: a header or the body has it, with more around it."""
    named = response.headers.get("x-amzn-errortype", "")
    named = named or text_at(answer, "__type") or text_at(answer, "code")
    return named.partition(":")[0].rpartition("#")[2].strip()


def _of_entry(result: Any, response: HttpResponse, now: datetime) -> Verdict:
    status, message_id = text_at(result, "Status"), text_at(result, "MessageId")
    if status == "SUCCESS":
        return accepted(message_id) if message_id else UNKNOWN
    if status and status not in STATUSES:
        return replace(PAUSE, code=safe_code(status))
    return decide(response, now, STATUSES, status)


ADAPTER = Ses()
