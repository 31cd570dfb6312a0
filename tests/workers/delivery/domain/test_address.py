"""Addresses, against `email-validator` and `idna`, and numbers against the plan E.164."""

from __future__ import annotations

import email_validator
import idna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from delivery.domain.address import (
    ADDRESS_BYTES_MAX,
    Mailbox,
    normalize_email,
    normalize_phone,
    parse_mailbox,
)

# What our rule leaves to the provider, and the library decides by a list of names.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

labels = st.text("abzAZ059-ß日ü.。", min_size=1, max_size=8)
locals_ = st.text("abzAZ059.+_-'ßü\"<>, \u200b\n", min_size=1, max_size=10)
addresses = st.builds(lambda a, b, c: f"{a}@{b}.{c}", locals_, labels, labels)


def oracle(text: str) -> str | None:
    try:
        found = email_validator.validate_email(text, check_deliverability=False)
    except email_validator.EmailNotValidError:
        return None
    return f"{found.local_part.lower()}@{found.ascii_domain}"


def is_common(text: str) -> bool:
    """Whether the rules coincide: the library cuts no white space, demands a TLD of letters and
    counts 254 characters, also of the domain before it is ASCII. Hyphens in the third and fourth
    place are reserved; only `xn--` has a meaning, and a name of ASCII is left to the provider."""
    domain = text.rpartition("@")[2].lower()
    return (
        text == text.strip()
        and domain[-1:].isalpha()
        and not any(label[2:4] == "--" for label in domain.replace("。", ".").split("."))
    )


@given(addresses)
@example("zoe@straße.example")
@example("a@日本.日本")
@example("a..b@c.example")
@example('"a b"@c.example')
@example("a,b@c.example")
@example("a\u200b@c.example")
def test_an_address_is_what_the_library_accepts(text: str) -> None:
    if is_common(text):
        assert normalize_email(text) == oracle(text)


@given(addresses)
def test_a_normalized_address_stays_as_it_is(text: str) -> None:
    once = normalize_email(f" {text} ")
    if once is not None:
        assert normalize_email(once) == once
        assert len(once.encode()) <= ADDRESS_BYTES_MAX
        assert once.count("@") == 1
        assert once.partition("@")[2].isascii()
        assert once.isprintable()


@given(st.text(max_size=40))
def test_any_text_has_an_answer(text: str) -> None:
    normalize_email(text)
    normalize_email(f"a@{text}")
    normalize_phone(text)
    parse_mailbox(text)


@pytest.mark.parametrize("domain", ["straße.example", "BÜCHER.example", "日本.jp", "a。example"])
def test_a_domain_follows_uts_46(domain: str) -> None:
    expected = idna.encode(domain.lower(), uts46=True).decode()
    assert normalize_email(f"a@{domain}") == f"a@{expected}"


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a", "a@", "@b.example", "a@b", "a@b@c.example", "a@[127.0.0.1]", "a@127.0.0.1",
        "a@-b.example", "a@b-.example", "a@b..example", "a@b.example.", "a@xn--zzzz-.example",
        "a b@c.example", "a\r\nBcc: x@c.example", ".a@b.example", "a.@b.example", "a\x00@b.example",
        "<a@b.example>", "a>,<b@c.example", "a@b_c.example", "a@" + "b" * 64 + ".example",
        "a@" + ".".join(["b" * 60] * 5) + ".example", "\ud800@b.example", "a@\ud800.example",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    assert normalize_email(text) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a@ｂ.example", "a@b.example"),  # full-width: UTS #46 maps it
        ("e\u0301@b.example", "\xe9@b.example"),  # one character, composed
        ("\u212b@b.example", "\xe5@b.example"),  # the sign of the unit is the letter
    ],
)
def test_spellings_of_one_address_become_one(text: str, address: str) -> None:
    assert normalize_email(text) == address


def test_an_address_has_at_most_254_bytes() -> None:
    """The longest one: 64 bytes, `@`, and a domain of 189."""
    domain = ".".join(["b" * 62, "b" * 62, "b" * 63])
    assert normalize_email(f"{'a' * 64}@{domain}") == f"{'a' * 64}@{domain}"
    assert normalize_email(f"{'a' * 65}@{domain}") is None
    assert normalize_email(f"{'é' * 32}@{domain}") is not None
    assert normalize_email(f"{'é' * 33}@{domain}") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+14155552671", "+14155552671"),  # examples of Twilio's page about E.164
        ("+442071838750", "+442071838750"),
        ("+551155256325", "+551155256325"),
        (" +1 415-555.2671 ", "+14155552671"),
        ("+1\u00a0(415)\u00a0555-2671", "+14155552671"),
        ("+290 2345", "+2902345"),
        ("+123456789012345", "+123456789012345"),  # fifteen digits are the most
        ("+1234567890123456", None),
        ("+123456", None),
        ("004930123456", None),
        ("030123456", None),
        ("+49 (0)30 123456", None),
        ("+04930123456", None),
        ("++4930123456", None),
        ("+٤٩٣٠١٢٣٤٥٦", None),
        ("+4930123456 ext. 7", None),
        ("", None),
    ],
)
def test_a_number_is_international(text: str, number: str | None) -> None:
    assert normalize_phone(text) == number


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("News@Acme.example", Mailbox("news@acme.example")),
        ("<news@acme.example>", Mailbox("news@acme.example")),
        ("Acme <news@acme.example>", Mailbox("news@acme.example", "Acme")),
        (' "Acme, \\"Inc.\\"" <news@acme.example> ', Mailbox("news@acme.example", 'Acme, "Inc."')),
        ("Zoë 👩‍💻 <z@ü.example>", Mailbox("z@xn--tda.example", "Zoë 👩‍💻")),
        ("Acme\r\nBcc: x@y.example <news@acme.example>", None),
        ("Acme\u2028 <news@acme.example>", None),
        ("Acme <news@acme.example> x", None),
        ("Acme <news>", None),
        ("Acme", None),
        ("", None),
        ("a" * 201 + " <news@acme.example>", None),
    ],
)
def test_a_sender_has_a_name_and_an_address(text: str, mailbox: Mailbox | None) -> None:
    assert parse_mailbox(text) == mailbox


def test_no_representation_has_an_address() -> None:
    assert "acme" not in repr(parse_mailbox("Acme <news@acme.example>"))
