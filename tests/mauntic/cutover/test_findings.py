"""A cutover's findings about the role of Hyperdrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit, urlunsplit

from mauntic.cutover.findings import Finding, of_role
from mauntic.database.url import DatabaseUrl
from mauntic.operations.connection import database_at
from shared.adapters.postgres.client import Postgres
from tests.roles import ROLES, url_of_worker


def found(url: str | None) -> list[Finding]:
    return list(of_role({} if url is None else {"DATABASE_URL_WORKERS": url}))


def test_the_role_of_the_grants_is_fit(database: str) -> None:
    [finding] = found(url_of_worker(database))
    assert finding.done
    assert finding.subject == "workers' role mauntic_workers"


def test_the_owner_is_no_role_for_workers(database: str) -> None:
    [finding] = found(database)
    assert not finding.done
    assert "is a superuser" in finding.why
    assert "tables and indexes" in finding.why
    assert "mauntic db grants --apply" in finding.why


@contextmanager
def another_role(url: str) -> Iterator[tuple[Postgres, str]]:
    """The owner, and the URL of a role without rights."""
    with closing(database_at(url)) as owner:
        owner.execute("create role another login password 'of this test'")
        try:
            parts = urlsplit(url)
            place = f"another:of%20this%20test@{parts.netloc.rpartition('@')[2]}"
            yield owner, urlunsplit(parts._replace(netloc=place))
        finally:
            owner.execute("drop role another")


def test_a_role_that_may_become_the_owner_is_none_for_workers(database: str) -> None:
    """`set role` alone is enough to own all of it."""
    owners_name = DatabaseUrl.parse(database).user
    with another_role(database) as (owner, url):
        owner.execute(f"grant {owners_name} to another with inherit false, set true")
        findings = found(url)
    assert "of this project's tables and indexes" in findings[0].why


def test_a_role_that_has_nothing_yet_is_told_what_it_lacks(database: str) -> None:
    with another_role(database) as (_, url):
        [finding] = found(url)
    assert not finding.done
    assert finding.why.startswith("it lacks usage on schema analytics, usage on schema campaign")


def test_what_the_role_lacks_is_named_with_its_remedy(database: str) -> None:
    with closing(database_at(database)) as owner:
        owner.execute(f"revoke insert on ops.job_runs from {ROLES.workers}")
        owner.execute(f"revoke select on crm.contacts from {ROLES.workers}")
    [finding] = found(url_of_worker(database))
    assert not finding.done
    assert finding.why == (
        "it lacks insert on ops.job_runs, select on crm.contacts: mauntic db grants --apply"
    )


def test_without_a_url_of_its_own_nothing_is_known(database: str) -> None:
    [finding] = found(None)
    assert not finding.done
    assert finding.why.startswith("set DATABASE_URL_WORKERS")
