"""What a cutover says about the role that Hyperdrive connects as."""

from __future__ import annotations

from contextlib import closing

from cli.connection import database_at
from cli.findings import Finding, of_role
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
