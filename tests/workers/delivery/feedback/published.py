"""Events in the form that the providers' documentation publishes, with invented values.

`M` is the id of the message and `C` the config's. Each has what becomes of the message: the column
with the time, how it bounced, the reason of a suppression, and the status of the contact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

AT = "2026-03-10T11:02:00"  # two minutes after the call, three before the webhook
AT_S = 1_773_140_520
MAIL = "jane@mail.example"


@dataclass(frozen=True)
class Expected:
    """None: the event changes nothing of that."""

    column: str | None
    activity: str | None = None
    bounce_kind: str | None = None
    suppression: str | None = None
    status: str = "active"


ACCEPTED = Expected(None)
DELIVERED = Expected("delivered_at", "delivered")
OPENED = Expected("opened_at", "opened")
CLICKED = Expected("clicked_at", "clicked")
HARD = Expected("bounced_at", "bounced", "hard", "bounce", "bounced")
SOFT = Expected("bounced_at", "bounced", "soft")
COMPLAINED = Expected("complained_at", "complained", None, "complaint")
UNSUBSCRIBED = Expected("unsubscribed_at", "unsubscribed", None, "unsubscribe", "unsubscribed")
FAILED = Expected("failed_at")

Example = tuple[Callable[[str], Any], Expected]


def _ses(name: str, part: str, detail: dict[str, Any]) -> Callable[[str], Any]:
    return lambda message: {
        "eventType": name,
        part: detail,
        "mail": {
            "timestamp": "2026-03-10T11:00:05.021Z",
            "source": "Acme <news@acme.example>",
            "sourceArn": "arn:aws:ses:eu-central-1:123456789012:identity/acme.example",
            "sendingAccountId": "123456789012",
            "messageId": f"0107-{message}-000000",
            "destination": [MAIL],
            "headersTruncated": False,
            "headers": [{"name": "From", "value": "Acme <news@acme.example>"}],
            "commonHeaders": {"from": ["Acme <news@acme.example>"], "to": [MAIL], "subject": "Hi"},
            "tags": {
                "ses:configuration-set": ["events"],
                "ses:source-ip": ["192.0.2.1"],
                "ses:from-domain": ["acme.example"],
                "message_id": [message],
            },
        },
    }


SES: list[Example] = [
    (_ses("Send", "send", {}), ACCEPTED),
    (
        _ses("Delivery", "delivery", {
            "timestamp": f"{AT}.330Z", "processingTimeMillis": 535, "recipients": [MAIL],
            "smtpResponse": "250 2.6.0 Message received", "reportingMTA": "a7-1.smtp-out.example",
        }),
        DELIVERED,
    ),
    (
        _ses("Bounce", "bounce", {
            "feedbackId": "0107-fb-1", "bounceType": "Permanent", "bounceSubType": "General",
            "bouncedRecipients": [{
                "emailAddress": MAIL, "action": "failed", "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown",
            }],
            "timestamp": f"{AT}.000Z", "reportingMTA": "dns; mail.example",
        }),
        HARD,
    ),
    (
        _ses("Bounce", "bounce", {
            "feedbackId": "0107-fb-2", "bounceType": "Transient", "bounceSubType": "MailboxFull",
            "bouncedRecipients": [{"emailAddress": MAIL}], "timestamp": f"{AT}.000Z",
        }),
        SOFT,
    ),
    (
        _ses("Complaint", "complaint", {
            "complainedRecipients": [{"emailAddress": MAIL}], "timestamp": f"{AT}.000Z",
            "feedbackId": "0107-fb-3", "userAgent": "Amazon SES Mailbox Simulator",
            "complaintFeedbackType": "abuse", "arrivalDate": f"{AT}.000Z",
        }),
        COMPLAINED,
    ),
    (
        _ses("Open", "open", {
            "ipAddress": "192.0.2.7", "timestamp": f"{AT}.652Z", "userAgent": "Mozilla/5.0",
        }),
        OPENED,
    ),
    (
        _ses("Click", "click", {
            "ipAddress": "192.0.2.7", "timestamp": f"{AT}.570Z", "userAgent": "Mozilla/5.0",
            "link": "https://acme.example/sale", "linkTags": {"area": ["top"]},
        }),
        CLICKED,
    ),
    (
        _ses("Rendering Failure", "failure", {
            "errorMessage": "Attribute 'x' is not present", "templateName": "t",
        }),
        FAILED,
    ),
    (
        _ses("Subscription", "subscription", {
            "contactList": "list", "timestamp": f"{AT}.000Z", "source": "UnsubscribeHeader",
            "newTopicPreferences": {"unsubscribeAll": True, "topicSubscriptionStatus": []},
            "oldTopicPreferences": {"unsubscribeAll": False, "topicSubscriptionStatus": []},
        }),
        UNSUBSCRIBED,
    ),
]  # fmt: skip


def _sendgrid(event: str, **rest: Any) -> Callable[[str], Any]:
    return lambda message: {
        "email": MAIL,
        "timestamp": AT_S,
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": event,
        "category": ["cat facts"],
        "sg_event_id": f"ev-{event}-{message}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "message_id": message,
        **rest,
    }


SENDGRID: list[Example] = [
    (_sendgrid("processed"), ACCEPTED),
    (_sendgrid("delivered", response="250 OK"), DELIVERED),
    (_sendgrid("open", useragent="Mozilla/4.0", ip="192.0.2.7", sg_machine_open=False), OPENED),
    (_sendgrid("click", useragent="M", ip="192.0.2.7", url="https://acme.example/"), CLICKED),
    (
        _sendgrid("bounce", reason="500 unknown recipient", status="5.0.0", type="bounce"),
        HARD,
    ),
    (_sendgrid("bounce", reason="421 try later", status="4.2.1", type="blocked"), SOFT),
    (_sendgrid("dropped", reason="Bounced Address", status="5.0.0"), HARD),
    (_sendgrid("dropped", reason="Spam Content"), FAILED),
    (_sendgrid("spamreport"), COMPLAINED),
    (_sendgrid("unsubscribe"), UNSUBSCRIBED),
    (_sendgrid("group_unsubscribe", asm_group_id=10), UNSUBSCRIBED),
]


def _postmark(name: str, **rest: Any) -> Callable[[str], Any]:
    return lambda message: {
        "RecordType": name,
        "ServerID": 23,
        "MessageStream": "broadcast",
        "MessageID": message,
        "Recipient": MAIL,
        "Tag": "welcome",
        "Metadata": {"message_id": message},
        **rest,
    }


_BOUNCE = {
    "Name": "Hard bounce", "Description": "The server was unable to deliver your message.",
    "Details": "smtp;550 5.1.1", "Email": MAIL, "From": "news@acme.example",
    "BouncedAt": f"{AT}.0000000Z", "DumpAvailable": True, "Inactive": True,
    "CanActivate": True, "Subject": "Hi",
}  # fmt: skip
POSTMARK: list[Example] = [
    (_postmark("Delivery", DeliveredAt=f"{AT}Z", Details="250 OK"), DELIVERED),
    (_postmark("Bounce", ID=692560173, Type="HardBounce", TypeCode=1, **_BOUNCE), HARD),
    (_postmark("Bounce", ID=692560174, Type="SoftBounce", TypeCode=4096, **_BOUNCE), SOFT),
    (_postmark("Bounce", ID=692560175, Type="AutoResponder", TypeCode=64, **_BOUNCE), ACCEPTED),
    (
        _postmark("SpamComplaint", ID=692560176, Type="SpamComplaint", TypeCode=100001, **_BOUNCE),
        COMPLAINED,
    ),
    (
        _postmark(
            "Open", FirstOpen=True, ReceivedAt=f"{AT}Z", Platform="WebMail",
            UserAgent="Mozilla/5.0", Client={"Name": "Chrome"}, OS={"Name": "OS X"},
        ),
        OPENED,
    ),
    (
        _postmark(
            "Click", ClickLocation="HTML", ReceivedAt=f"{AT}Z", Platform="Desktop",
            OriginalLink="https://acme.example/", UserAgent="Mozilla/5.0",
        ),
        CLICKED,
    ),
    (
        _postmark(
            "SubscriptionChange", ChangedAt=f"{AT}Z", Origin="Recipient", SuppressSending=True,
            SuppressionReason="ManualSuppression",
        ),
        UNSUBSCRIBED,
    ),
]  # fmt: skip


def _resend(name: str, **data: Any) -> Callable[[str], Any]:
    return lambda message: {
        "type": name,
        "created_at": f"{AT}.126Z",
        "data": {
            "broadcast_id": "8b146471-e88e-4322-86af-016cd36fd216",
            "created_at": "2026-03-10T11:00:05.000Z",
            "email_id": f"re-{message}",
            "from": "Acme <news@acme.example>",
            "to": [MAIL],
            "subject": "Hi",
            "tags": {"message_id": message},
            **data,
        },
    }


RESEND: list[Example] = [
    (_resend("email.sent"), ACCEPTED),
    (_resend("email.delivered"), DELIVERED),
    (
        _resend("email.bounced", bounce={
            "message": "The recipient's address is on the suppression list.",
            "subType": "General", "type": "Permanent",
        }),
        HARD,
    ),
    (_resend("email.bounced", bounce={"message": "m", "subType": "x", "type": "Transient"}), SOFT),
    (_resend("email.complained"), COMPLAINED),
    (_resend("email.opened"), OPENED),
    (
        _resend("email.clicked", click={
            "ipAddress": "192.0.2.7", "link": "https://acme.example/",
            "timestamp": f"{AT}.126Z", "userAgent": "Mozilla/5.0",
        }),
        CLICKED,
    ),
    (_resend("email.failed", failed={"reason": "reached_daily_quota"}), FAILED),
]  # fmt: skip


def _mailgun(event: str, **rest: Any) -> Callable[[str], Any]:
    return lambda message: {
        "id": f"ev-{event}-{message}",
        "timestamp": AT_S + 0.5,
        "log-level": "info",
        "event": event,
        "message": {"headers": {"to": MAIL, "message-id": f"{message}@mg", "from": "x"}, "size": 9},
        "recipient": MAIL,
        "recipient-domain": "mail.example",
        "tags": ["t"],
        "campaigns": [],
        "user-variables": {"message_id": message},
        **rest,
    }


_PERMANENT = {"severity": "permanent", "log-level": "error"}
MAILGUN: list[Example] = [
    (_mailgun("accepted", method="HTTP"), ACCEPTED),
    (
        _mailgun("delivered", **{"delivery-status": {"code": 250, "attempt-no": 1}}),
        DELIVERED,
    ),
    (
        _mailgun("failed", reason="suppress-bounce", **_PERMANENT, **{
            "delivery-status": {"code": 605, "message": "Not delivering to previously bounced"},
        }),
        HARD,
    ),
    (_mailgun("failed", reason="old", **_PERMANENT), SOFT),
    (
        _mailgun("opened", ip="192.0.2.7", **{"client-info": {"client-type": "browser"}}),
        OPENED,
    ),
    (_mailgun("clicked", url="https://acme.example/", ip="192.0.2.7"), CLICKED),
    (_mailgun("complained"), COMPLAINED),
    (_mailgun("unsubscribed", ip="192.0.2.7"), UNSUBSCRIBED),
    (_mailgun("rejected", reject={"reason": "Sandbox", "description": ""}), FAILED),
]  # fmt: skip


def _twilio(status: str, **rest: str) -> Callable[[str], Any]:
    return lambda message: {
        "SmsSid": f"SM{message}",
        "SmsStatus": status,
        "MessageStatus": status,
        "To": "+14155550100",
        "MessageSid": f"SM{message}",
        "AccountSid": "AC" + "0" * 32,
        "From": "+15005550006",
        "ApiVersion": "2010-04-01",
        **rest,
    }


INVALID = Expected("bounced_at", "bounced", "hard", "invalid")
TWILIO: list[Example] = [
    (_twilio("sent"), ACCEPTED),
    (_twilio("delivered", RawDlrDoneDate="2603101102"), DELIVERED),
    (_twilio("undelivered", ErrorCode="30003", ErrorMessage="Unreachable"), SOFT),
    (_twilio("undelivered", ErrorCode="30005"), INVALID),
    (_twilio("undelivered", ErrorCode="30006"), INVALID),
    (_twilio("failed", ErrorCode="30008"), FAILED),
]


def _cloudflare(name: str, **payload: Any) -> Callable[[str], Any]:
    return lambda message: {
        "type": f"cf.email.sending.message.{name}",
        "source": {"type": "email.sending", "zoneId": "z", "domain": "acme.example"},
        "payload": {
            "eventId": f"ev-{name}-{message}",
            "messageId": message,
            "sender": "news@acme.example",
            "recipient": MAIL,
            "subject": "Hi",
            "terminal": True,
            "delivery": {"status": name, "smtpStatusCode": "250", "smtpResponse": "250 OK"},
            **payload,
        },
        "metadata": {
            "accountId": "a",
            "eventSubscriptionId": "s",
            "eventSchemaVersion": 1,
            "eventTimestamp": f"{AT}.132Z",
        },
    }


CLOUDFLARE: list[Example] = [
    (_cloudflare("delivered"), DELIVERED),
    (_cloudflare("deferred", terminal=False), ACCEPTED),
    (_cloudflare("deferred", terminal=True), SOFT),
    (
        _cloudflare("bounced", bounce={
            "type": "hard", "classification": "permanent_failure", "reason": "550 5.1.1",
        }),
        HARD,
    ),
    (_cloudflare("bounced", bounce={"type": "soft", "classification": "x", "reason": "452"}), SOFT),
    (_cloudflare("failed"), FAILED),
    (
        _cloudflare("rejected", rejection={"reason": "suppressed", "party": "x", "detail": "y"}),
        Expected("failed_at", None, None, "invalid"),
    ),
    (_cloudflare("complained"), COMPLAINED),
]  # fmt: skip
