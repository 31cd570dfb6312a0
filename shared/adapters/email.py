"""The Email port over Cloudflare's `send_email` binding."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from shared.errors import EmailFailed
from shared.ports import EmailMessage

# https://developers.cloudflare.com/email-service/api/send-emails/workers-api/
_CODE = re.compile(r"E_[A-Z_]{1,60}")


class BoundEmail:
    """Sends through a binding. `send` takes plain Python fields and returns the message's id."""

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[str]]) -> None:
        self._send = send

    async def send(self, message: EmailMessage) -> str:
        try:
            return await self._send(fields_of(message))
        except Exception as error:  # a JsException, whose class the host does not have
            raise EmailFailed(code_of(error), str(error)) from error


def fields_of(message: EmailMessage) -> dict[str, Any]:
    """Return the message in the binding's form, without empty fields."""
    fields = {
        "from": _address(message.sender),
        "to": message.to,
        "subject": message.subject,
        "html": message.html,
        "text": message.text,
        "replyTo": _address(message.reply_to),
        "headers": dict(message.headers),
    }
    required = ("from", "to", "subject")
    return {name: value for name, value in fields.items() if value or name in required}


def _address(text: str) -> str | dict[str, str]:
    """Return the address in the binding's form.

    >>> _address("Acme <news@acme.example>")
    {'email': 'news@acme.example', 'name': 'Acme'}
    >>> _address("news@acme.example")
    'news@acme.example'
    """
    name, _, rest = text.partition("<")
    email = rest.removesuffix(">")
    is_named = bool(name.strip() and email) and rest.endswith(">")
    if not is_named or any(mark in part for part in (name, email) for mark in "<>"):
        return text
    return {"email": email, "name": name.rstrip()}


def code_of(error: BaseException) -> str:
    """Return the binding's code; `unknown` if the error has none.

    If the runtime passes on only the message, the code is the word in it that has its form.
    """
    code = getattr(error, "code", None)
    match = _CODE.search(code if isinstance(code, str) else str(error))
    return match[0] if match else "unknown"
