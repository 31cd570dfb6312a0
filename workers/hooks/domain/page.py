"""The page of an unsubscribe link. It names no person, loads nothing, and has one button."""

from __future__ import annotations

import base64
import hashlib
from string import Template

STYLE = (
    "body{font:1.125rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}"
    "button{font:inherit;padding:.75rem 1.5rem;border:2px solid #1a1a1a;border-radius:.25rem;"
    "color:#fff;background:#1a1a1a}"
    "button:focus-visible{outline:3px solid #0b57d0;outline-offset:3px}"
)
PAGE = Template(
    "<!doctype html>\n"
    '<html lang="en">\n'
    "<head>\n"
    '<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta name="robots" content="noindex, nofollow">\n'
    "<title>$title</title>\n"
    "<style>$style</style>\n"
    "</head>\n"
    "<body>\n"
    "<main>\n"
    "<h1>$title</h1>\n"
    "$content\n"
    "</main>\n"
    "</body>\n"
    "</html>\n"
)
QUESTION = """\
<p>You will receive no more marketing messages from this sender at the address of this e-mail.</p>
<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">Unsubscribe</button>
</form>"""
ANSWER = """\
<p role="status">You will receive no more marketing messages from this sender at the address of this
e-mail. A message that is on its way may still arrive.</p>"""


def _page(title: str, content: str) -> bytes:
    return PAGE.substitute(title=title, style=STYLE, content=content).encode()


ASK = _page("Unsubscribe", QUESTION)
DONE = _page("You are unsubscribed", ANSWER)

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex, nofollow",
}
