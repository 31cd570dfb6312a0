"""Normalize addresses: e-mail addresses, telephone numbers, senders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from unicodedata import normalize

import idna

ADDRESS_BYTES_MAX = 254
DOMAIN_BYTES_MAX = 253
NAME_CHARS_MAX = 200

# The `dot-atom` of RFC 5322, and the characters beyond ASCII that RFC 6531 adds. Quoted forms are
# refused: in a list of recipients `<`, `,` and `"` would name another one.
_LOCAL = re.compile(
    r"[^\x00-\x20\"(),.:;<>@\[\\\]\x7f]++(?:\.[^\x00-\x20\"(),.:;<>@\[\\\]\x7f]++)*+"
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SEPARATORS = str.maketrans("", "", " -./()\N{NO-BREAK SPACE}")


def normalize_email(text: str) -> str | None:
    """Return the address in lower case with its domain in ASCII; None if it is not an address.

    Domains follow UTS #46 as in browsers: `ß` stays itself. Python's own codec would write `ss`,
    which is another domain.

    >>> normalize_email(" Zoe@Straße.example "), normalize_email("a@b@c.example")
    ('zoe@xn--strae-oqa.example', None)
    """
    local, at, domain = text.strip().partition("@")
    local, ascii_domain = normalize("NFC", local.lower()), _ascii_domain(domain)
    if not at or ascii_domain is None or not _is_local(local):
        return None
    address = f"{local}@{ascii_domain}"
    return address if len(address.encode()) <= ADDRESS_BYTES_MAX else None


def unicode_email(address: str) -> str | None:
    """Return a normalized address with its domain in Unicode; None if that is no other spelling.

    >>> unicode_email("zoe@xn--strae-oqa.example"), unicode_email("zoe@acme.example")
    ('zoe@straße.example', None)
    """
    local, _, domain = address.rpartition("@")
    if "xn--" not in domain:
        return None
    try:
        return f"{local}@{idna.decode(domain)}"
    except UnicodeError:
        return None


def normalize_phone(text: str) -> str | None:
    """Return the number in E.164; None if it is not an international number.

    Separators are removed. `(0)` is refused: it is dialed only without the country code.

    >>> normalize_phone("+1 (415) 555-2671"), normalize_phone("0171 1234567")
    ('+14155552671', None)
    """
    if "(0)" in text:
        return None
    digits = text.strip().translate(_SEPARATORS)
    return digits if _E164.fullmatch(digits) else None


@dataclass(frozen=True, repr=False)
class Mailbox:
    """A sender: an address and the name that is shown with it."""

    address: str
    name: str = ""


def parse_mailbox(text: str) -> Mailbox | None:
    """Parse `news@acme.example` or `Acme <news@acme.example>`; None if it is neither.

    >>> box = parse_mailbox('"Acme, Inc." <News@acme.example>')
    >>> (box.name, box.address) if box else None
    ('Acme, Inc.', 'news@acme.example')
    """
    text = text.strip()
    name, bracket, rest = text.rpartition("<")
    if bracket and not rest.endswith(">"):
        return None
    address = normalize_email(rest.removesuffix(">") if bracket else text)
    name = _unquoted(name.strip(" \t"))
    if address is None or not is_name(name):
        return None
    return Mailbox(address, name)


def is_name(text: str) -> bool:
    """Return True if `text` can be a sender's name: one line, no control characters."""
    return len(text) <= NAME_CHARS_MAX and not _CONTROL.search(text)


def _is_local(local: str) -> bool:
    """Return True for an unquoted local part. An invisible character would make a twin of it."""
    return local.isprintable() and _LOCAL.fullmatch(local) is not None


def _ascii_domain(domain: str) -> str | None:
    """Return the domain in ASCII and lower case; None if it is not the name of a mail domain."""
    if len(domain) > DOMAIN_BYTES_MAX:
        return None
    domain = domain.lower()
    if not domain.isascii() or "xn--" in domain:
        try:
            domain = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
        except UnicodeError:  # idna.IDNAError is one
            return None
    labels = domain.split(".")
    is_named = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels)
    return domain if is_named and not labels[-1].isdigit() else None


def _unquoted(name: str) -> str:
    if len(name) >= 2 and name[0] == name[-1] == '"':
        return name[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return name
