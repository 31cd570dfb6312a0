"""`mauntic scores`: a score explained, factor by factor, compared with figures computed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from scoring.reference.score import Event, FactorConfig, Signal
from scoring.store.fold import fold_changes
from shared.adapters.postgres.client import Postgres
from tests.mauntic.harness import Cli
from tests.workers.scoring.stage import HOUR, NOON, Stage, opened, org, person

DAY = 24 * HOUR
JANE = (1, 1)
AT = ("--at", NOON.isoformat())


@pytest.fixture
def stage(database: str) -> Iterator[Stage]:
    """Jane: fit 37 from the start, engagement for five days, signals since then."""
    with opened(database) as stage:
        custom = {"direct_phone": "1", "company_size": "mid", "seniority": "vp"}
        stage.add_contact(JANE, "jane@example.com", " ", custom)
        stage.set_factor(1, "fit", "has_email", FactorConfig(enabled=False))
        stage.set_factor(1, "fit", "seniority_vp", FactorConfig(weight=17))
        stage.batch(NOON - 8 * DAY)
        for days in (1, 6, 29):
            stage.add_event(JANE, Event("email_opened", NOON - days * DAY))
        stage.add_event(JANE, Event("page_visited", NOON - 31 * DAY))
        stage.add_event(JANE, Event("content_download", NOON - 6 * DAY))
        stage.batch(NOON - 5 * DAY)
        stage.add_signal(JANE, Signal("DEMO_REQUEST", NOON - 42 * HOUR))
        stage.add_signal(JANE, Signal("PRICING_PAGE", NOON - 6 * HOUR, 8, "step", 10))
        stage.add_signal(JANE, Signal("EMAIL_CLICK", NOON - 56 * HOUR, None, "exponential"))
        stage.add_signal(JANE, Signal("WEBSITE_VISIT", NOON - 8 * DAY))
        stage.add_signal(JANE, Signal("FREE_TRIAL", NOON - HOUR, expires_at=NOON))
        stage.batch(NOON)
        yield stage


def explained(cli: Cli, *words: str) -> Any:
    answer = cli("scores", "show", "jane@example.com", *words, "--json")
    assert answer.code == 0, answer.err
    return answer.json


def test_each_factor_has_its_points(cli: Cli, stage: Stage) -> None:
    reported = explained(cli, *AT)
    assert {(row["category"], row["factor"]): row["points"] for row in reported["factors"]} == {
        ("fit", "has_email"): 0,  # the organization disabled it
        ("fit", "has_phone"): 0,  # a blank is no number
        ("fit", "has_direct_phone"): 10,
        ("fit", "company_size"): 10,
        ("fit", "seniority"): 17,  # the organization's own, instead of 15
        ("engagement", "recent_activity"): 10,  # three in thirty days
        ("engagement", "content_download"): 10,
    }
    assert (reported["fit"], reported["engagement"], reported["intent"]) == (37, 20, 29)
    assert (reported["total"], reported["grade"]) == (86, "A")


def test_each_live_signal_has_its_decay_and_the_others_are_not_shown(
    cli: Cli, stage: Stage
) -> None:
    rows = {row["signal"]: row for row in explained(cli, *AT)["signals"]}
    assert {kind: (row["weight"], row["decay"], row["points"]) for kind, row in rows.items()} == {
        "DEMO_REQUEST": (30, 0.75, 22.5),  # 42 of 168 hours, linear
        "PRICING_PAGE": (8, 0.5, 4),  # its own weight, 6 of 10 hours, in steps
        "EMAIL_CLICK": (8, 0.368, 2.94),  # 56 of 168 hours: 1/e
    }


@pytest.mark.parametrize(
    ("times", "intent"),
    [
        ("expires_at = 'infinity'", 29),
        ("expires_at = '20000-01-01'", 29),
        ("expires_at = '-infinity'", 0),
        ("expires_at = '0044-03-15 BC'", 0),
        ("detected_at = '0044-03-15 BC'", 0),
    ],
)
def test_times_that_python_does_not_know_count_as_the_worker_counts_them(
    cli: Cli, stage: Stage, db: Postgres, times: str, intent: int
) -> None:
    live = "signal_type in ('DEMO_REQUEST', 'PRICING_PAGE', 'EMAIL_CLICK')"
    db.execute(f"update scoring.intent_signals set {times} where {live}")
    stage.batch(NOON)
    reported = explained(cli, *AT)
    assert (reported["intent"], reported["stored"]["intent_score"]) == (intent, intent)


def test_now_is_the_moment_where_none_is_named(cli: Cli, stage: Stage) -> None:
    half_way = datetime.now(UTC) - 84 * HOUR
    stage.add_signal(JANE, Signal("CONTACT_REQUEST", half_way))
    [row] = explained(cli)["signals"]
    assert (row["signal"], row["decay"]) == ("CONTACT_REQUEST", 0.5)


def test_a_week_ago_is_what_stood_at_the_end_of_that_day(cli: Cli, stage: Stage) -> None:
    """Written eight and five days ago: a week ago it was still the former."""
    before = explained(cli, *AT)["week_ago"]
    assert (before["total_score"], before["fit_score"], before["since"]) == (37, 37, "2026-03-02")
    in_two_days = ("--at", (NOON + 2 * DAY).isoformat())
    later = explained(cli, *in_two_days)["week_ago"]
    assert (later["total_score"], later["engagement_score"]) == (57, 20)
    long_ago = explained(cli, "--at", "2026-01-01")
    assert (long_ago["week_ago"], long_ago["engagement"], long_ago["signals"]) == (None, 0, [])


def test_the_stored_score_is_shown_with_the_reason_for_a_difference(cli: Cli, stage: Stage) -> None:
    reported = explained(cli, *AT)["stored"]
    assert (reported["total_score"], reported["grade"], reported["outdated"]) == (86, "A", False)
    text = cli("scores", "show", "jane@example.com", *AT).out
    assert "86, grade A (fit 37, engagement 20, intent 29)" in text
    assert "Stored: 86, grade A, of 2026-03-10 12:00Z.\n" in text
    assert "A week ago: 37 (fit 37, engagement 0, intent 0), since 2026-03-02." in text
    tomorrow = ("--at", (NOON + DAY).isoformat())
    assert "SignalDecay" in cli("scores", "show", "jane@example.com", *tomorrow).out
    stage.change_contact(JANE, "jane@example.org")
    text = cli("scores", "show", "jane@example.org", *AT).out
    assert "a change since then waits for the next scoring.BatchRecompute" in text


@pytest.mark.parametrize("at", [NOON - 2 * DAY, NOON + 36_500 * DAY], ids=["before", "to come"])
def test_another_time_than_the_stored_score_s_finds_no_fault_with_it(
    cli: Cli, stage: Stage, at: datetime
) -> None:
    text = cli("scores", "show", "jane@example.com", "--at", at.isoformat()).out
    assert "Stored: 86, grade A, of 2026-03-10 12:00Z.\n" in text


def test_a_contact_without_a_score_is_explained_too(cli: Cli, stage: Stage) -> None:
    stage.add_contact((2, 9))
    text = cli("scores", "show", str(person(9)).upper()).out
    assert "0, grade F" in text
    assert "live signals: none" in text
    assert "no score yet" in text
    assert "A week ago: no score." in text


def test_an_address_of_no_contact_or_of_several_is_refused(cli: Cli, stage: Stage) -> None:
    unknown = cli("scores", "show", "nobody@example.com")
    assert (unknown.code, "nobody@example.com" in unknown.err) == (1, True)
    stage.add_contact((2, 2), "jane@example.com")
    both = cli("scores", "show", "jane@example.com")
    assert both.code == 1
    assert str(person(1)) in both.err
    assert str(person(2)) in both.err
    assert cli("scores", "show", str(person(2))).code == 0
    assert cli("scores", "show", str(person(2)), "--at", "soon").code == 2


def test_the_backlog_is_shown_by_job_and_organization(cli: Cli, stage: Stage, db: Postgres) -> None:
    def waiting() -> dict[str, int]:
        rows = cli("scores", "status", "--json").json["waiting"]
        return {row["done_by"].removeprefix("scoring."): row["count"] for row in rows}

    now = datetime.now(UTC)
    stage.decay(now)
    db.execute("delete from scoring.threshold_outbox")
    assert set(waiting().values()) == {0}
    stage.add_contact((2, 2))
    stage.add_contact((2, 3))
    stage.change_contact(JANE, "jane@example.org")
    db.execute(
        "insert into scoring.signal_alerts"
        " (organization_id, contact_id, signal_type, priority, created_at) values"
        " (:org, :one, 'DEMO_REQUEST', 'critical', :ago), (:org, :one, 'FREE_TRIAL', 'high', :ago)",
        org=org(1), one=person(1), ago=now - 2 * HOUR,
    )  # fmt: skip
    db.execute("update scoring.lead_scores set recheck_at = :ago", ago=now - HOUR)
    db.execute(
        "insert into scoring.threshold_outbox"
        " (organization_id, contact_id, score, previous_score, scored_at)"
        " values (:org, :one, 45, 35, :ago), (:org, :one, 35, 45, :ago)",
        org=org(1), one=person(1), ago=now,
    )  # fmt: skip
    others = {"SignalDecay": 1, "AlertExpiry": 1, "any scoring message": 2}
    assert waiting() == {"fold-changes": 3, "BatchRecompute": 0, **others}
    stage.fold(now)
    assert waiting() == {"fold-changes": 0, "BatchRecompute": 3, **others}
    largest = cli("scores", "status", "--json").json["backlog"]
    assert [(row["organization_id"], row["contacts"]) for row in largest] == [
        (str(org(2)), 2),
        (str(org(1)), 1),
    ]
    assert "changed contacts" in cli("scores", "status").out


def backlog(db: Postgres) -> set[tuple[int, int]]:
    """Return the contacts that wait to be scored, after the feed is folded."""
    with db.transaction():
        fold_changes(db, NOON)
    rows = db.rows("select organization_id, contact_id from scoring.recompute_backlog")
    return {(row["organization_id"].int, row["contact_id"].int - 1_000) for row in rows}


@pytest.mark.parametrize(
    ("whose", "expected"),
    [
        (["--contact", "jane@example.com"], {(1, 1)}),
        (["--contact", str(person(2))], {(1, 2)}),
        (["--organization", str(org(1))], {(1, 1), (1, 2)}),
        (["--all"], {(1, 1), (1, 2), (2, 3)}),
    ],
)
def test_requested_contacts_are_scored_again(
    cli: Cli, stage: Stage, db: Postgres, whose: list[str], expected: set[tuple[int, int]]
) -> None:
    stage.add_contact((1, 2))
    stage.add_contact((2, 3))
    stage.batch(NOON)
    db.execute(
        "update scoring.lead_scores set total_score = 1, scored_at = scored_at - interval '1 h'"
    )
    assert backlog(db) == set()
    planned = cli("scores", "recompute", *whose, "--dry-run", "--json")
    assert (planned.code, planned.json) == (0, {"would_request": len(expected)})
    assert backlog(db) == set()
    answer = cli("scores", "recompute", *whose, "--yes", "--json")
    assert (answer.code, answer.json) == (0, {"requested": len(expected)})
    assert backlog(db) == expected
    stage.batch(NOON)
    corrected = {key for key, (total, *_) in stage.numbers().items() if total != 1}
    assert corrected == expected


def test_everybody_is_asked_for_only_after_a_question(cli: Cli, stage: Stage, db: Postgres) -> None:
    for typed in ("", "n\n"):
        answer = cli("scores", "recompute", "--all", stdin=typed)
        assert (answer.code, backlog(db)) == (1, set())
        assert "recompute all scores, 1 contact?" in answer.err
    text = cli("scores", "recompute", "--all", "--dry-run").out
    assert text == "1 contact would wait for the next scoring.BatchRecompute.\n"
    assert cli("scores", "recompute", "--all", stdin="y\n").code == 0
    assert backlog(db) == {JANE}


def test_asking_twice_is_harmless_and_moves_the_version(
    cli: Cli, stage: Stage, db: Postgres
) -> None:
    """An entry that is being computed must not be cleared by that."""
    versions = []
    for _ in range(2):
        assert cli("scores", "recompute", "--contact", "jane@example.com").code == 0
        assert backlog(db) == {JANE}
        [row] = db.rows("select version from scoring.recompute_backlog")
        versions.append(row["version"])
    assert versions[1] > versions[0]


def test_requesting_all_contacts_is_one_row_per_organization(
    cli: Cli, stage: Stage, db: Postgres
) -> None:
    """For any number of contacts: none of the work is done inside the command."""
    for contact in range(2, 9):
        stage.add_contact((2, contact))
    stage.batch(NOON)
    assert cli("scores", "recompute", "--all", "--yes").code == 0
    rows = db.rows("select organization_id, contact_id from crm.contact_changes order by id")
    assert [tuple(row.values()) for row in rows] == [(org(1), None), (org(2), None)]


def test_the_contacts_to_score_must_be_named(cli: Cli, stage: Stage, db: Postgres) -> None:
    for words in ([], ["--all", "--contact", "jane@example.com"]):
        answer = cli("scores", "recompute", *words)
        assert (answer.code, "--organization, --contact and --all" in answer.err) == (1, True)
    unknown = cli("scores", "recompute", "--organization", org(77))
    assert (unknown.code, str(org(77)) in unknown.err) == (1, True)
    assert cli("scores", "recompute", "--organization", "x").code == 2
    assert backlog(db) == set()


def test_the_deployed_scores_need_the_deployed_database(
    cli: Cli, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert explained(cli, *AT, "--remote")["total"] == 86
    monkeypatch.delenv("DATABASE_URL")
    answer = cli("scores", "show", "jane@example.com", "--remote")
    assert (answer.code, "DATABASE_URL" in answer.err) == (1, True)
