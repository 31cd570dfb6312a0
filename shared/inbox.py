"""What passes from the worker that receives requests to the one that consumes the feedback queue.

A webhook's body travels in its queue message, or, if it is larger than a message may be, as an
object of this bucket. Both hold the exact bytes as base64, because signatures cover bytes.
"""

from __future__ import annotations

import base64

from shared.bindings import R2Bucket

INBOX = R2Bucket("INBOX_R2", "mauntic-delivery-inbox")
FEEDBACK_QUEUE = "mauntic-delivery-feedback"
FEEDBACK_BINDING = "DELIVERY_FEEDBACK"
# A queue message has at most 128 KB, with its headers: a larger body is an object.
MESSAGE_BODY_BYTES_MAX = 65_536
BODY_BYTES_MAX = 1_000_000


def encoded(body: bytes) -> str:
    """Return the text of a body, in a message or in an object.

    >>> encoded(b"{}"), decoded("e30=")
    ('e30=', b'{}')
    """
    return base64.b64encode(body).decode()


def decoded(text: str) -> bytes:
    """Return the bytes of a body. Raises ValueError for a text that is not base64."""
    return base64.b64decode(text, validate=True)
