"""local/database_url.py: URLs taken apart."""

import ssl

import pytest

from local.database_url import DatabaseUnavailable, DatabaseUrl, with_database


def test_takes_a_url_apart() -> None:
    url = DatabaseUrl.parse("postgres://me:p%40ss%2F@db.example:6543/shop?sslmode=require")
    assert url == DatabaseUrl("me", "p@ss/", "db.example", 6543, "shop", "require")


def test_fills_in_what_is_missing() -> None:
    url = DatabaseUrl.parse("postgresql://me@db.example")
    assert url == DatabaseUrl("me", None, "db.example", 5432, "me", None)


@pytest.mark.parametrize(
    "wrong", ["", "shop", "mysql://h/d", "postgresql:///d", "postgres://h:x/d"]
)
def test_refuses_what_is_no_database_url(wrong: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="DATABASE_URL"):
        DatabaseUrl.parse(wrong)


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
        ("postgres://db.example/d", None),
        ("postgres://db.example/d?sslmode=prefer", None),
        ("postgres://db.example/d?sslmode=disable", False),
    ],
)
def test_plain_or_opportunistic_tls(url: str, expected: bool | None) -> None:
    assert DatabaseUrl.parse(url).ssl_context() is expected


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
