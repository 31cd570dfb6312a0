"""Random requests, most of them almost right: a stranger's best guesses."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from uuid import UUID

from tests.workers.hooks.internet import CONFIG, ONE_CLICK, hook_url, unsubscribe_url

METHODS = ["POST"] * 6 + ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]
PROVIDERS = ["sendgrid", "resend", "postmark", "ses", "twilio", "mailgun", "fcm", "", "x" * 40]
NAMES = [
    "svix-id", "svix-signature", "x-twilio-signature", "authorization", "content-type", "cookie",
    "x-forwarded-host", "sec-purpose",
]  # fmt: skip
VALUES = ["", "1", "multipart/form-data; boundary=b", "v1,AAAA", "x" * 3_000, "ü", "a\tb", '"']
ALPHABET = "/.%?#&=-_\\:;@+~0aZ"
BODIES = [
    b"", b"{}", ONE_CLICK, b"[" * 5_000, b"\xff\0\xfe", b"--b\r\nContent-Disposition: x\r\n\r\n",
]  # fmt: skip
ANSWERS = {200, 400, 404, 413, 429}


@dataclass(frozen=True)
class Strange:
    """A request. The rest of its URL is `path`."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def strange(rng: random.Random, base: str) -> Strange:
    """Return a request whose URL begins with that of the worker."""
    url = rng.choice(
        [
            hook_url(rng.choice(PROVIDERS), rng.choice([CONFIG, UUID(int=rng.getrandbits(128))])),
            hook_url(more=rng.choice(["", f"/{CONFIG}", "?a=b", "/x"])),
            unsubscribe_url(),
        ]
    )
    path = url.removeprefix(base)
    for _ in range(rng.choice([0, 0, 1, 2])):
        place = rng.randrange(1, len(path))
        path = path[:place] + rng.choice(ALPHABET) + path[place + rng.randrange(2) :]
    body = rng.choice([*BODIES, rng.randbytes(rng.choice([1, 200, 13_000]))])
    headers = {name: rng.choice(VALUES) for name in rng.sample(NAMES, rng.randrange(4))}
    return Strange(rng.choice(METHODS), path, body, headers)
