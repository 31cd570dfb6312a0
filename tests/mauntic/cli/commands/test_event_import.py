"""`mauntic import`: its options, its answers and its exit codes."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest

from mauntic.cli.commands import event_import
from mauntic.event_import.formats.catalogue import FORMATS
from mauntic.event_import.store import Store
from shared.adapters.postgres.client import Postgres
from tests.mauntic.event_import.importing import ORG, add_people, rows
from tests.mauntic.harness import Cli

MAPPING = """
system = "acme"
[columns]
event_id = "id"
email = "email"
type = "action"
time = "at"
campaign = "mailing"
[types]
open = "email_opened"
left = "email_unsubscribed"
"""
HISTORY = """id,email,action,at,mailing
1,ann@shop.example,open,2024-01-01 10:00:00,7
2,bob@shop.example,left,2024-01-02 10:00:00,7
3,secret.person@shop.example,open,2024-01-01 10:00:00,7
"""


@pytest.fixture
def arguments(tmp_path: Path, db: Postgres) -> list[object]:
    """The arguments for a file with two good rows and one of an unknown contact."""
    add_people(db)
    (tmp_path / "acme.toml").write_text(MAPPING)
    (tmp_path / "history.csv").write_text(HISTORY)
    return [
        "import", tmp_path / "history.csv", "--mapping", tmp_path / "acme.toml",
        "--organization", ORG, "--zone", "Europe/Berlin",
    ]  # fmt: skip


def test_a_dry_run_returns_the_counts_of_the_import_and_stores_nothing(
    cli: Cli, db: Postgres, arguments: list[object]
) -> None:
    dry = cli(*arguments, "--dry-run", "--json").json
    assert rows(db) == []
    done = cli(*arguments, "--json").json
    assert len(rows(db)) == 2
    assert dry | {"dry_run": False} == done
    assert (done["read"], done["new"], done["by_type"]) == (
        3, 2, {"email_opened": 1, "email_unsubscribed": 1}
    )  # fmt: skip
    assert done["by_day"] == {"2024-01-01": 1, "2024-01-02": 1}
    assert done["refused"] == [
        {
            "reason": "unknown_contact",
            "count": 1,
            "first": [{"line": 4, "item": 1}],
            "remedy": "the organization has no such contact: create it, or pass --create-contacts",
        }
    ]
    assert done["next"] == [
        "mauntic backfill analytics.generate-daily-reports"
        " --from 2024-01-01 --to 2024-01-03 --only all",
        "mauntic backfill analytics.generate-monthly-usage"
        " --from 2024-01-01 --to 2024-02-01 --only all",
    ]


def test_refused_rows_end_with_1_unless_they_are_allowed(
    cli: Cli, arguments: list[object], tmp_path: Path
) -> None:
    refused = cli(*arguments, "--rejects", tmp_path / "refused.csv")
    assert refused.code == 1
    assert "--allow-rejects" in refused.err
    assert cli(*arguments, "--allow-rejects").code == 0
    assert cli(*arguments, "--create-contacts").code == 0
    [header, row] = csv.reader((tmp_path / "refused.csv").read_text().splitlines())
    assert (header, row[:3]) == (
        ["line", "item", "reason", "remedy"], ["4", "1", "unknown_contact"]
    )  # fmt: skip
    written = (tmp_path / "refused.csv").read_text() + refused.out + refused.err
    assert "secret" not in written


def test_the_answer_says_what_follows(cli: Cli, arguments: list[object]) -> None:
    answer = cli(*arguments, "--allow-rejects")
    assert "mauntic backfill analytics.generate-daily-reports --from 2024-01-01" in answer.out
    assert "next run of analytics.aggregate-hourly" in answer.out
    assert "suppresses no address" in answer.err
    # Whether the operator has done this after the first import is unknown: it may have crashed.
    again = cli(*arguments, "--allow-rejects")
    assert "Unless you did so after an earlier import" in again.out
    assert "mauntic backfill analytics.generate-daily-reports --from 2024-01-01" in again.out


def test_an_import_that_is_interrupted_reports_what_is_stored_and_continues(
    cli: Cli, db: Postgres, arguments: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    add, batches = Store.add, []

    def interrupted(store: Store, events: Any) -> Any:
        batches.append(events)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return add(store, events)

    monkeypatch.setattr(event_import, "BATCH_EVENTS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "add", interrupted)
        cut = cli(*arguments, "--json")
    assert (cut.code, cut.json["interrupted"], cut.json["new"]) == (130, True, 1)
    assert "run the same command to continue" in cut.err
    assert len(rows(db)) == 1
    rest = cli(*arguments, "--json", "--allow-rejects").json
    assert (rest["new"], rest["stored_before"], len(rows(db))) == (1, 1, 2)
    assert rest["by_day"] == {"2024-01-02": 1}
    assert "--from 2024-01-01 --to 2024-01-03" in rest["next"][0]  # the days of both runs


def test_standard_input(cli: Cli, db: Postgres, arguments: list[object]) -> None:
    arguments[1] = "-"
    assert cli(*arguments, "--allow-rejects", stdin=HISTORY).code == 0
    assert len(rows(db)) == 2


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--format", "ses"], "either --format or --mapping"),
        (["--zone", "Berlin"], "no time zone 'Berlin'"),
        (["--rejects", "/none/refused.csv"], "--rejects /none/refused.csv cannot be written"),
        (["--organization", "acme"], "valid UUID"),
    ],
)
def test_wrong_options_are_refused(
    cli: Cli, db: Postgres, arguments: list[object], extra: list[str], message: str
) -> None:
    answer = cli(*arguments, *extra)
    assert answer.code != 0
    assert message in answer.err
    assert rows(db) == []


def test_the_rejects_never_overwrite_the_file(cli: Cli, arguments: list[object]) -> None:
    answer = cli(*arguments, "--rejects", arguments[1])
    assert (answer.code, Path(str(arguments[1])).read_text()) == (1, HISTORY)
    assert "would overwrite" in answer.err


def test_a_missing_file_is_an_error(cli: Cli, arguments: list[object], tmp_path: Path) -> None:
    arguments[1] = tmp_path / "none.csv"
    assert "cannot be read: FileNotFoundError" in cli(*arguments).err


def test_the_right_to_create_contacts_is_checked_first(
    cli: Cli, db: Postgres, arguments: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", os.environ["DATABASE_URL_WORKERS"])
    assert "needs the right to insert into crm.contacts" in cli(*arguments, "--create-contacts").err
    assert cli(*arguments, "--allow-rejects").code == 0
    assert len(rows(db)) == 2


def test_events_before_the_retained_period_need_an_option(
    cli: Cli, db: Postgres, arguments: list[object]
) -> None:
    db.rows("select ops.purged_before('2024-01-02')")
    assert cli(*arguments, "--json").json["new"] == 1
    result = cli(*arguments, "--before-retention", "--json").json
    assert (result["new"], result["by_day"]) == (1, {"2024-01-01": 1})
    assert result["next"][:2] == [
        f"mauntic backfill analytics.{job} --from 2024-01-01 --to 2024-01-02 --only all"
        " --before-retention --dry-run"
        for job in ("aggregate-hourly", "generate-daily-reports")
    ]


def test_the_commands_that_it_prints_can_be_typed(cli: Cli, arguments: list[object]) -> None:
    following = cli(*arguments, "--json").json["next"]
    assert len(following) == 2
    for command in following:
        assert cli(*command.split()[1:], "--dry-run").code == 0


def test_an_organization_without_contacts_is_a_warning(cli: Cli, arguments: list[object]) -> None:
    arguments[arguments.index(ORG)] = UUID(int=0xFF)
    answer = cli(*arguments, "--create-contacts", "--dry-run", "--json")
    assert "no contact of this organization: check its id" in answer.err
    assert answer.json["contacts_created"] == 3


def test_a_long_import_shows_its_progress_even_if_every_row_is_refused(
    cli: Cli, arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "history.csv").write_text(
        "id,email,action,at,mailing\n" + "1,x,open,now,\n" * 1_000
    )
    monkeypatch.setattr(event_import, "SHOWN_AFTER_S", 0.0)
    assert "importing: 1,000 rows, 0 new" in cli(*arguments).err


def test_each_format_can_be_named() -> None:
    assert set(get_args(event_import.FormatName)) == set(FORMATS)
