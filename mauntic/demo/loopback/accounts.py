"""A customer of every imitated provider: its keys and its encrypted configurations."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mauntic.demo.loopback.fcm import Fcm
from mauntic.demo.loopback.mailgun import Mailgun
from mauntic.demo.loopback.postmark import Postmark
from mauntic.demo.loopback.provider import Provider
from mauntic.demo.loopback.resend import Resend
from mauntic.demo.loopback.sendgrid import SendGrid
from mauntic.demo.loopback.ses import Ses
from mauntic.demo.loopback.twilio import Twilio
from mauntic.demo.loopback.webpush import WebPush
from mauntic.project.programs import ROOT

PROVIDERS = (Ses, SendGrid, Postmark, Resend, Mailgun, Twilio, Fcm, WebPush)
NODE, SCRIPT = ROOT / ".venv" / "bin" / "node", Path(__file__).with_name("accounts.mjs")


@dataclass(frozen=True, repr=False)
class Accounts:
    """The secrets of each provider, and the browser to which its Web Push messages go."""

    secrets: Mapping[str, Mapping[str, Any]]
    device: Mapping[str, str] = field(default_factory=dict)

    def providers(self) -> list[Provider]:
        return [made(self.secrets[made.name]) for made in PROVIDERS]


def new_accounts() -> Accounts:
    """Open an account at each provider."""
    keys = _ask()
    return Accounts(
        {
            "ses": {
                "region": "eu-west-1",
                "accessKeyId": "AKIDEXAMPLE",
                "secretAccessKey": "secret",
                "configurationSet": "events",
            },
            "sendgrid": {"apiKey": "SG.secret"},
            "postmark": {"serverToken": "secret", "broadcastStream": "broadcast"},
            "resend": {"apiKey": "re_secret"},
            "mailgun": {"apiKey": "key-secret", "domain": "mg.example"},
            "twilio": {"accountSid": "AC1", "authToken": "secret", "fromNumber": "+15005550006"},
            "fcm": {"projectId": "demo", "serviceAccountKey": json.dumps(keys["serviceAccount"])},
            "webpush": {
                "vapidPrivateKey": keys["vapid"]["private"],
                "vapidPublicKey": keys["vapid"]["public"],
                "subject": "mailto:push@acme.example",
            },
        },
        {"p256dh": keys["device"]["public"], "auth": keys["device"]["auth"]},
    )


def encrypted(configs: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Return configurations as the platform stores them: encrypted with the key, in hex."""
    found: list[str] = _ask(key=key, configs=list(configs))["configs"]
    return found


def _ask(**asked: Any) -> Any:
    done = subprocess.run(
        [NODE, SCRIPT], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)
