"""`mauntic contacts erase`: it erases what it counts, and nothing else."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mauntic.database.url import connect
from shared.adapters.postgres.client import Postgres
from tests.mauntic.harness import Answer, Cli
from tests.mauntic.vendor import Vendor
from tests.test_erasure import (
    JANE,
    JOHN,
    MAIL,
    OLD_MAIL,
    ORG,
    OTHER_ORG,
    delete_at_the_platform,
    fill,
    knowing,
    mention,
)

FILLED = {
    "crm.contacts": 1,
    "analytics.contact_activity": 1,
    "scoring.lead_scores": 1,
    "scoring.score_history": 1,
    "scoring.intent_signals": 1,
    "scoring.signal_alerts": 1,
    "scoring.alert_requests": 1,
    "scoring.threshold_outbox": 1,
    "scoring.recompute_backlog": 1,
}


@pytest.fixture
def owner(database: str) -> Iterator[Any]:
    with closing(connect(database)) as connection:
        yield connection


@pytest.fixture
def jane(owner: Any) -> None:
    """Both contacts are in every table, and messages mention both."""
    fill(owner, ORG, JANE, MAIL)
    fill(owner, ORG, JOHN, "john@example.org")
    mention(owner)


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A former address of the contact."""
    file = tmp_path / "former.txt"
    file.write_text(f"{OLD_MAIL}\n\n")
    return file


def text(answer: Answer) -> str:
    return (answer.out + answer.err).lower()


def assert_discreet(answer: Answer) -> None:
    assert "example" not in text(answer).replace("@example.com", "")
    assert "jane" not in text(answer)


@pytest.mark.usefixtures("jane")
def test_a_dry_run_counts_and_changes_nothing(cli: Cli, owner: Any, former: Path) -> None:
    before = knowing(owner, JANE, MAIL, OLD_MAIL)
    answer = cli("contacts", "erase", JANE, "--addresses", former, "--dry-run", "--json")
    assert answer.code == 0, answer
    counts = answer.json["would_erase"]
    assert counts.items() >= FILLED.items()
    # Six mentions, and a letter with her id in its error alone.
    letters = ("ops.message_failures", "ops.job_runs", "ops.dead_letters")
    assert [counts[table] for table in letters] == [6, 6, 7]
    assert counts.keys() == before
    assert knowing(owner, JANE, MAIL, OLD_MAIL) == before
    assert_discreet(answer)


@pytest.mark.usefixtures("jane")
def test_it_erases_what_it_counted_once(cli: Cli, owner: Any, former: Path) -> None:
    words = ("contacts", "erase", JANE, "--addresses", former)
    would = cli(*words, "--dry-run", "--json").json["would_erase"]
    answer = cli(*words, "--delete", "--yes", "--json", "--by", "olga")
    assert answer.code == 0, answer
    assert answer.json["erased"] == would
    assert_discreet(answer)
    assert knowing(owner, JANE, MAIL, OLD_MAIL) == set()
    assert knowing(owner, JOHN) >= FILLED.keys()
    audit = owner.run(
        "select changed_by, note, count(*) from ops.dead_letters where status = 'discarded'"
        " group by 1, 2"
    )
    assert audit == [["olga", "erased with a contact", 7]]
    again = cli(*words, "--organization", ORG, "--json")
    assert (again.code, again.json["erased"]) == (0, {})


@pytest.mark.usefixtures("jane")
def test_a_contact_that_is_still_there_is_refused(cli: Cli, owner: Any) -> None:
    before = knowing(owner, JANE)
    answer = cli("contacts", "erase", JANE, "--yes")
    assert answer.code == 1
    assert "pass --delete" in answer.err
    assert knowing(owner, JANE) == before
    assert_discreet(answer)


@pytest.mark.usefixtures("jane")
def test_what_the_platform_has_deleted_is_erased_by_organization(
    cli: Cli, db: Postgres, owner: Any
) -> None:
    delete_at_the_platform(owner, JANE)
    assert "pass its --organization" in cli("contacts", "erase", JANE, "--yes").err
    words = ("contacts", "erase", JANE, "--organization", ORG, "--addresses", "-", "--yes")
    answer = cli(*words, stdin=f"{MAIL}\n{OLD_MAIL}\n")
    assert answer.code == 0, answer
    assert knowing(owner, JANE, MAIL, OLD_MAIL) == set()
    [row] = db.rows("select distinct changed_by from ops.dead_letters where status = 'discarded'")
    assert row["changed_by"] == getpass.getuser()
    assert_discreet(answer)


@pytest.mark.usefixtures("jane")
def test_nothing_is_erased_without_an_answer(cli: Cli, owner: Any) -> None:
    before = knowing(owner, JANE)
    for answer in (
        cli("contacts", "erase", JANE, "--delete"),
        cli("contacts", "erase", JANE, "--delete", stdin="n\n"),
    ):
        assert answer.code == 1
        assert "scoring.lead_scores" in answer.err  # the counts are shown before the question
        assert_discreet(answer)
    assert knowing(owner, JANE) == before


def test_a_contact_of_another_organization_stays(cli: Cli, owner: Any) -> None:
    """It is not reported as erased either."""
    fill(owner, OTHER_ORG, JANE, MAIL)
    before = knowing(owner, JANE)
    answer = cli("contacts", "erase", JANE, "--organization", ORG, "--delete", "--yes")
    assert answer.code == 1
    assert f"belongs to the organization {OTHER_ORG}" in answer.err
    assert knowing(owner, JANE) == before


@pytest.mark.parametrize("line", ["jane", "@example.org", "jane@", "jane doe@example.org"])
def test_a_line_that_is_no_address_is_named_by_its_number(
    cli: Cli, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"a@b.example\n{line}\n")
    answer = cli("contacts", "erase", JANE, "--organization", ORG, "--addresses", file)
    assert answer.code == 1
    assert "Line 2" in answer.err
    assert line not in answer.err


@pytest.mark.usefixtures("jane", "vendor")
def test_the_deployed_database_is_the_one_that_is_named(
    cli: Cli, owner: Any, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = cli("contacts", "erase", JANE, "--delete", "--yes", "--remote")
    assert answer.code == 0, answer
    assert "crm.contacts" not in knowing(owner, JANE)
    monkeypatch.delenv("DATABASE_URL")
    assert "set DATABASE_URL" in cli("contacts", "erase", JANE, "--remote").err
