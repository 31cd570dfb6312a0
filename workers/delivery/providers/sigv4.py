"""Signature version 4 of AWS, for requests without a query."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, repr=False)
class Credentials:
    """A key of an AWS account."""

    access_key_id: str
    secret_access_key: str


def signed_headers(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """Return the headers of a POST, with X-Amz-Date and Authorization added. `now` is in UTC."""
    time = now.strftime("%Y%m%dT%H%M%SZ")
    complete = {**headers, "X-Amz-Date": time}
    parts = urlsplit(url)
    canonical = {name.lower(): value for name, value in complete.items()}
    canonical["host"] = parts.netloc
    names = ";".join(sorted(canonical))
    lines = [f"{name}:{canonical[name]}\n" for name in sorted(canonical)]
    request = "\n".join(
        ("POST", parts.path, parts.query, "".join(lines), names, hashlib.sha256(body).hexdigest())
    )
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = "\n".join((ALGORITHM, time, scope, digest))
    signature = _hmac(_signing_key(credentials, scope), to_sign).hex()
    authorization = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope},"
        f" SignedHeaders={names}, Signature={signature}"
    )
    return {**complete, "Authorization": authorization}


def _signing_key(credentials: Credentials, scope: str) -> bytes:
    key = b"AWS4" + credentials.secret_access_key.encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
