"""What passes from the worker that receives requests to the one that consumes the feedback queue.

A webhook's body travels in its queue message, or, if the message would be larger than a consumer
reads and a dead letter keeps, as an object of this bucket. Both hold the exact bytes as base64,
because signatures cover bytes.
"""

from __future__ import annotations

import base64

from shared.bindings import R2Bucket
from shared.body_limits import LARGE_BODY_CHARS_MAX

# The consumer deletes what it has processed; the rest ends with the bucket's rule.
INBOX = R2Bucket("INBOX_R2", "mauntic-delivery-inbox", expires_after_days=30)
FEEDBACK_QUEUE = "mauntic-delivery-feedback"
FEEDBACK_BINDING = "DELIVERY_FEEDBACK"
MESSAGE_CHARS_MAX = LARGE_BODY_CHARS_MAX
MESSAGE_BODY_BYTES_MAX = 65_536  # of a body in a message
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
