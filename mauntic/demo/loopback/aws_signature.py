"""Whether a request has a valid signature version 4 of AWS.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re

from mauntic.demo.loopback.provider import Call

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/(?P<day>\d{8})/(?P<region>[\w-]+)/ses/aws4_request"
    r", ?"
    r"SignedHeaders=(?P<names>[\w;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
MUST_BE_SIGNED = {"host", "x-amz-date"}


def is_signed(call: Call, key_id: str, secret: str, region: str) -> bool:
    """Return True if the signature is of this key, and covers the host and the time."""
    given = _AUTHORIZATION.fullmatch(call.headers.get("authorization", ""))
    if given is None or (given["key"], given["region"]) != (key_id, region):
        return False
    names = given["names"].split(";")
    stamp = call.headers.get("x-amz-date", "")
    if not (set(names) >= MUST_BE_SIGNED and stamp.startswith(given["day"])):
        return False
    values = {**call.headers, "host": call.host}
    lines = [f"{name}:{values.get(name, '').strip()}" for name in names]
    canonical = [call.method, call.path, "", *lines, "", given["names"], _sha256(call.body)]
    scope = f"{given['day']}/{region}/ses/aws4_request"
    text = ["AWS4-HMAC-SHA256", stamp, scope, _sha256("\n".join(canonical).encode())]
    signing = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    expected = hmac.digest(signing, "\n".join(text).encode(), "sha256").hex()
    return hmac.compare_digest(expected, given["signature"])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
