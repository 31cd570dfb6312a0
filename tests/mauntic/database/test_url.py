"""mauntic/database/url.py: parsing URLs."""

import ssl
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mauntic.database.url import (
    DatabaseUnavailable,
    DatabaseUrl,
    check_answers,
    connect,
    with_database,
)


def test_takes_a_url_apart() -> None:
    url = DatabaseUrl.parse("postgres://me:p%40ss%2F@db.example:6543/shop?sslmode=require")
    assert url == DatabaseUrl("me", "p@ss/", "db.example", 6543, "shop", "require")


def test_fills_in_what_is_missing() -> None:
    url = DatabaseUrl.parse("postgresql://me@db.example")
    assert url == DatabaseUrl("me", None, "db.example", 5432, "me", None)


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "shop", "mysql://h/d", "postgresql:///d", "postgres://h:x/d", "postgres://h:99999/d"),
        *("postgres://h/d#f", "postgres://h/d/e", "postgres://u@h@i/d", "postgres://h/d\n"),
        *("postgres://[::1/d", "postgres://u:%zz@h/d", "postgres://u:é@h/d"),
    ],
)
def test_refuses_what_is_no_database_url(wrong: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="DATABASE_URL must look like"):
        DatabaseUrl.parse(wrong)
    with pytest.raises(DatabaseUnavailable):
        with_database(wrong, "other")


@given(st.text(alphabet="s3/?#@:[]% \\'\"\n\x1b", min_size=1))
def test_a_password_that_breaks_the_url_is_in_no_error(rest: str) -> None:
    """Any of its characters may be unescaped, and may seem to end a part."""
    for url in (f"postgres://user:s3cr{rest}PW@127.0.0.1:9/d", f"postgres://u:12{rest}PW@h/d"):
        shown, password = attempted(url)
        assert "s3cr" not in shown
        assert "PW" not in shown
        assert password is None or password.endswith("PW")


def attempted(url: str) -> tuple[str, str | None]:
    """The part of the URL that a message may show, and its password if it is read."""
    try:
        to = DatabaseUrl.parse(url)
    except DatabaseUnavailable as error:
        return str(error), None
    return to.address, to.password


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_whatever_is_escaped_is_read_back(password: str, user: str, database: str) -> None:
    parts = [quote(text.encode("utf-8", "ignore"), safe="") for text in (user, password, database)]
    to = DatabaseUrl.parse("postgres://{}:{}@h/{}?sslmode=disable".format(*parts))
    assert (to.password, to.host) == (unquote(parts[1]), "h")
    assert to.user == (unquote(parts[0]) or "postgres")


def test_address_tells_no_secret() -> None:
    assert DatabaseUrl.parse("postgres://me:secret@h:1/d").address == "h:1/d"


def test_another_database_of_the_same_server() -> None:
    assert with_database("postgres://u:p@h:1/a?sslmode=disable", "b") == (
        "postgres://u:p@h:1/b?sslmode=disable"
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://127.0.0.1/d", False),
        ("postgres://127.0.0.1/d?sslmode=prefer", None),
        ("postgres://db.example/d?sslmode=disable", False),
    ],
)
def test_plain_or_opportunistic_tls(url: str, expected: bool | None) -> None:
    assert DatabaseUrl.parse(url).ssl_context() is expected


@pytest.mark.parametrize("query", ["", "?sslmode=prefer", "?sslmode=allow", "?sslmode=verify"])
def test_tls_to_another_machine_is_not_left_open(query: str) -> None:
    """An attacker between the two would refuse TLS, and ask for the password in clear text."""
    url = f"postgres://u:secret@db.example/d{query}"
    for ask in (connect, check_answers, lambda url: DatabaseUrl.parse(url).ssl_context()):
        with pytest.raises(DatabaseUnavailable, match="sslmode=verify-full"):
            ask(url)


@pytest.mark.parametrize(
    ("mode", "verifies", "checks_host"),
    [
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_tls_that_must_be(mode: str, verifies: ssl.VerifyMode, checks_host: bool) -> None:
    context = DatabaseUrl.parse(f"postgres://db.example/d?sslmode={mode}").ssl_context()
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (verifies, checks_host)
