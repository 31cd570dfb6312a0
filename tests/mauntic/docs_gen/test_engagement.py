"""A type of event that raises engagement is declared once."""

from __future__ import annotations

import re
from contextlib import closing

from mauntic.database.url import connect
from mauntic.project.programs import ROOT
from scoring.domain.engagement import DOWNLOAD_TYPE, ENGAGEMENT_TYPES
from scoring.reference import score

# What appends a change to the feed when an event is inserted, updated or deleted.
TRIGGER_FUNCTIONS = 3


def test_the_triggers_append_a_change_for_the_declared_types(database: str) -> None:
    with closing(connect(database)) as db:
        rows = db.run(
            "select distinct proc.proname, pg_get_functiondef(proc.oid)"
            " from pg_trigger as trigger join pg_proc as proc on proc.oid = trigger.tgfoid"
            " where trigger.tgrelid = 'analytics.contact_activity'::regclass"
            " and proc.prosrc like '%event_type in (%'"
        )
    lists = [found for _, text in rows for found in re.findall(r"event_type in \(([^)]*)\)", text)]
    assert len(lists) >= TRIGGER_FUNCTIONS
    assert {tuple(re.findall(r"'(\w+)'", found)) for found in lists} == {ENGAGEMENT_TYPES}


def test_the_reference_counts_the_declared_types() -> None:
    assert score.VISITS | {score.DOWNLOAD} == set(ENGAGEMENT_TYPES)
    assert score.DOWNLOAD == DOWNLOAD_TYPE


def test_an_alert_that_is_adopted_has_the_sla_of_its_priority(database: str) -> None:
    """The rule fills a missing deadline before our function exists: it repeats the times."""
    text = (ROOT / "mauntic" / "adopt" / "templates" / "rules.sql").read_text(encoding="utf-8")
    name = "fill__scoring__signal_alerts__deadline"
    [rule] = re.findall(rf"-- name: {name}\n(.*?)\n-- name", text, re.S)
    with closing(connect(database)) as db:
        for priority in ("critical", "high", "medium", "low"):
            [[deadline, sla]] = db.run(
                f"select ({rule.strip()}) - created_at, scoring.alert_sla(priority)"
                " from (values (:priority, timestamptz '2026-03-10'))"
                " as alert (priority, created_at)",
                priority=priority,
            )
            assert deadline == sla, priority
