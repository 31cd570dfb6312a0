"""SES: the requests of botocore, its service model and its signer are the oracle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import botocore.auth
import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSRequest, AWSResponse
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.domain.outgoing import OutgoingEmail
from delivery.domain.rendered import plain
from delivery.domain.verdict import Verdict
from delivery.providers.adapter import CannotSend
from delivery.providers.bodies import ascii_reply_to, ascii_sender
from delivery.providers.ses import CODES, ENTRY_CHARS_MAX, STATUSES, Ses
from tests.workers.delivery.providers.support import (
    NOW,
    answer,
    calls,
    email,
    emails,
    request_of,
    several,
)

SES = Ses()
SECRETS = {
    "region": "eu-central-1",
    "accessKeyId": "AKIDEXAMPLE",
    "secretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "configurationSet": "events",
}
SESSION = botocore.session.Session()
CLIENT = SESSION.create_client(
    "sesv2",
    region_name=SECRETS["region"],
    aws_access_key_id=SECRETS["accessKeyId"],
    aws_secret_access_key=SECRETS["secretAccessKey"],
)
MODEL = SESSION.get_service_model("sesv2")


def sdk_request(operation: str, **arguments: Any) -> AWSPreparedRequest:
    """What botocore sends."""
    kept: list[AWSPreparedRequest] = []

    def keep(request: AWSPreparedRequest, **rest: Any) -> AWSResponse:
        del rest
        kept.append(request)
        return AWSResponse(request.url, 200, {}, None)

    CLIENT.meta.events.register("before-send.sesv2", keep, unique_id="keep")
    try:
        with patch.object(AWSResponse, "content", b"{}"):
            getattr(CLIENT, operation)(**arguments)
    finally:
        CLIENT.meta.events.unregister("before-send.sesv2", unique_id="keep")
    return kept[0]


def headers_of(message: OutgoingEmail) -> list[dict[str, str]]:
    pairs = [*message.headers.items(), ("X-Mauntic-Message", message.message_id)]
    return [{"Name": name, "Value": value} for name, value in pairs]


def common(message: OutgoingEmail) -> dict[str, Any]:
    replies = {"ReplyToAddresses": [ascii_reply_to(message)]} if message.reply_to else {}
    return {
        "FromEmailAddress": ascii_sender(message),
        "ConfigurationSetName": "events",
        **replies,
    }


def simple(message: OutgoingEmail) -> dict[str, Any]:
    parts = {"Html": str(message.html), "Text": str(message.text)}
    body = {name: {"Data": text, "Charset": "UTF-8"} for name, text in parts.items() if text}
    return {
        "Subject": {"Data": str(message.subject), "Charset": "UTF-8"},
        "Body": body,
        "Headers": headers_of(message),
    }


@given(emails())
def test_a_message_is_the_request_of_the_sdk(message: OutgoingEmail) -> None:
    theirs = sdk_request(
        "send_email",
        Destination={"ToAddresses": [message.to]},
        Content={"Simple": simple(message)},
        EmailTags=[{"Name": "message_id", "Value": message.message_id}],
        **common(message),
    )
    ours = request_of(SES, [message], SECRETS)
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert ours.headers["Content-Type"] == theirs.headers["Content-Type"].decode()


@settings(max_examples=40)
@given(calls().filter(lambda messages: len(messages) > 1))
def test_several_messages_are_one_request_of_the_sdk(messages: list[OutgoingEmail]) -> None:
    template = {
        "Subject": "{{subject}}",
        "Html": "{{html}}",
        "Text": "{{text}}",
    }
    theirs = sdk_request(
        "send_bulk_email",
        DefaultContent={"Template": {"TemplateContent": template, "TemplateData": "{}"}},
        BulkEmailEntries=[entry(message) for message in messages],
        **common(messages[0]),
    )
    ours = request_of(SES, messages, SECRETS)
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert decoded(ours.body) == decoded(theirs.body)


def entry(message: OutgoingEmail) -> dict[str, Any]:
    values = {
        "subject": str(message.subject),
        "html": str(message.html),
        "text": str(message.text),
    }
    replaced = {"ReplacementTemplate": {"ReplacementTemplateData": json.dumps(values)}}
    return {
        "Destination": {"ToAddresses": [message.to]},
        "ReplacementTags": [{"Name": "message_id", "Value": message.message_id}],
        "ReplacementEmailContent": replaced,
        "ReplacementHeaders": headers_of(message),
    }


def decoded(body: bytes) -> Any:
    """The body, with the JSON in it decoded too."""
    found = json.loads(body)
    for bulk_entry in found["BulkEmailEntries"]:
        template = bulk_entry["ReplacementEmailContent"]["ReplacementTemplate"]
        template["ReplacementTemplateData"] = json.loads(template["ReplacementTemplateData"])
    return found


@settings(max_examples=40)
@given(calls())
def test_the_signature_is_that_of_the_sdk(messages: list[OutgoingEmail]) -> None:
    ours = request_of(SES, messages, SECRETS)
    request = AWSRequest(
        "POST", ours.url, {"Content-Type": ours.headers["Content-Type"]}, ours.body
    )
    key = Credentials(SECRETS["accessKeyId"], SECRETS["secretAccessKey"])
    with patch("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None)):
        botocore.auth.SigV4Auth(key, "ses", SECRETS["region"]).add_auth(request)
    assert dict(request.headers) == dict(ours.headers)


def test_an_answer_of_the_sdks_model_is_accepted() -> None:
    body = {"MessageId": "0100-id"}
    [verdict] = SES.verdicts([email()], answer(200, body), NOW)
    assert verdict == Verdict("accepted", provider_message_id="0100-id")


# From the contract: error -> verdict.
ERRORS = {
    "TooManyRequestsException": (429, "defer"),
    "LimitExceededException": (400, "defer"),
    "AccountSuspendedException": (400, "pause"),
    "SendingPausedException": (400, "pause"),
    "MailFromDomainNotVerifiedException": (400, "pause"),
    "NotFoundException": (404, "pause"),
    "MessageRejected": (400, "refused"),
    "BadRequestException": (400, "refused"),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("place", ["header", "type", "code"])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_a_call_concerns_every_message(name: str, place: str, count: int) -> None:
    status, kind = ERRORS[name]
    header, body = {
        "header": ({"x_amzn_errortype": f"{name}:http://internal.amazon.com/"}, {}),
        "type": ({}, {"__type": f"com.amazonaws.sesv2#{name}"}),
        "code": ({}, {"code": name}),
    }[place]
    verdicts = SES.verdicts(several(count), answer(status, body, **header), NOW)
    assert verdicts == [Verdict(kind, name)] * count  # type: ignore[arg-type]


def test_every_error_of_the_sdks_model_has_a_verdict() -> None:
    for operation in ("SendEmail", "SendBulkEmail"):
        shapes = MODEL.operation_model(operation).error_shapes
        assert {shape.name for shape in shapes} == set(ERRORS) == set(CODES)
        for shape in shapes:
            assert ERRORS[shape.name][0] == shape.metadata["error"]["httpStatusCode"]


# From the contract: status of an entry -> verdict.
ENTRIES = {
    "SUCCESS": "accepted",
    "MESSAGE_REJECTED": "refused",
    "INVALID_PARAMETER": "refused",
    "ACCOUNT_THROTTLED": "defer",
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": "defer",
    "TRANSIENT_FAILURE": "retry",
    "FAILED": "retry",
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": "pause",
    "CONFIGURATION_SET_NOT_FOUND": "pause",
    "TEMPLATE_NOT_FOUND": "pause",
    "ACCOUNT_SUSPENDED": "pause",
    "INVALID_SENDING_POOL_NAME": "pause",
    "ACCOUNT_SENDING_PAUSED": "pause",
    "CONFIGURATION_SET_SENDING_PAUSED": "pause",
    "SOMETHING_NEW": "pause",
}


def test_every_status_of_the_sdks_model_has_a_verdict() -> None:
    assert set(MODEL.shape_for("BulkEmailStatus").enum) == set(ENTRIES) - {"SOMETHING_NEW"}
    assert set(STATUSES) == set(ENTRIES) - {"SOMETHING_NEW", "SUCCESS"}


@pytest.mark.parametrize("status", ENTRIES)
def test_the_status_of_an_entry_concerns_its_message_alone(status: str) -> None:
    results = [
        {"Status": "SUCCESS", "MessageId": "a"},
        {"Status": status, "Error": "text with jane@mail.example", "MessageId": "b"},
        {"Status": "SUCCESS", "MessageId": "c"},
    ]
    verdicts = SES.verdicts(several(3), answer(200, {"BulkEmailEntryResults": results}), NOW)
    assert [verdict.kind for verdict in verdicts] == ["accepted", ENTRIES[status], "accepted"]
    assert verdicts[0].provider_message_id == "a"
    assert "jane" not in repr(verdicts)


@given(
    st.integers(2, 5),
    st.recursive(
        st.none() | st.text(max_size=5) | st.sampled_from(["SUCCESS"]),
        lambda inner: (
            st.lists(inner, max_size=6)
            | st.dictionaries(
                st.sampled_from(["Status", "MessageId", "BulkEmailEntryResults", "x"]), inner
            )
        ),
        max_leaves=20,
    ),
)
def test_an_entry_is_accepted_only_by_its_own_result(count: int, body: Any) -> None:
    verdicts = SES.verdicts(several(count), answer(200, body), NOW)
    results = body.get("BulkEmailEntryResults") if isinstance(body, dict) else None
    for index, verdict in enumerate(verdicts):
        if verdict.kind == "accepted":
            assert isinstance(results, list)
            assert len(results) == count
            assert results[index]["Status"] == "SUCCESS"
            assert results[index]["MessageId"] == verdict.provider_message_id
    assert len(verdicts) == count


def results(count: int) -> dict[str, Sequence[Any]]:
    found = [{"Status": "SUCCESS", "MessageId": f"m{n}"} for n in range(count)]
    return {"BulkEmailEntryResults": found}


@pytest.mark.parametrize("count", [0, 2, 4])
def test_results_that_do_not_match_the_call_are_unknown(count: int) -> None:
    assert SES.verdicts(several(3), answer(200, results(count)), NOW) == [Verdict("unknown")] * 3


def test_a_large_message_needs_a_call_of_its_own() -> None:
    assert SES.entry_bytes(email(html=plain("x" * (ENTRY_CHARS_MAX - 100)))) is not None
    assert SES.entry_bytes(email(html=plain("x" * ENTRY_CHARS_MAX))) is None


@pytest.mark.parametrize(
    "region", ["", "eu.evil.example/", "eu central", "eu@x", ".", "a..x", ".eu"]
)
def test_a_region_that_is_no_name_is_refused(region: str) -> None:
    with pytest.raises(CannotSend) as refused:
        request_of(SES, [email()], SECRETS | {"region": region})
    assert refused.value.verdict == Verdict("pause", "config_region")


def test_a_deferral_ends_when_retry_after_says_so() -> None:
    body = answer(429, {"__type": "TooManyRequestsException"}, retry_after="90")
    [verdict] = SES.verdicts([email()], body, NOW)
    assert verdict.until == NOW + timedelta(seconds=90)
