"""Contacts, signals, visits and alerts from a seed: the input of scores and alerts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.generate import SALTS, SEED, WRITERS, at_once, bare, inlined, prepare
from mauntic.database.url import connect

# A day ago, because messages are scored at the current time; the values do not depend on it.
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
SIGNALS_A_CONTACT = 3
SIGNALS_SPAN_H = 85 * 24
VISITS_SPAN_H = 45 * 24
TABLES = {
    "contacts": "crm.contacts",
    "signals": "scoring.intent_signals",
    "visits": "analytics.contact_activity",
    "alerts": "scoring.signal_alerts",
}


def fill_people(url: str, contacts: int, end: datetime) -> None:
    """A number of contacts with three signals and one visit each, on average, before `end`."""
    with closing(connect(url)) as db:
        prepare(db, contacts, SEED)
        common = {"contacts": contacts, "end": end}
        _fill(db, url, "contacts", contacts)
        signals = contacts * SIGNALS_A_CONTACT
        _fill(db, url, "signals", signals, **common, span_h=SIGNALS_SPAN_H)
        _fill(db, url, "visits", contacts, **common, span_h=VISITS_SPAN_H)


def fill_alerts(url: str, alerts: int, due: int, end: datetime) -> None:
    """A number of alerts, of which `due` are open and due by `end`."""
    with closing(connect(url)) as db:
        prepare(db, alerts, SEED)
        _fill(db, url, "alerts", alerts, due=due, end=end)


def _fill(db: Any, url: str, table: str, count: int, **values: Any) -> None:
    with bare(db, url, TABLES[table]):
        at_once(url, list(_halves(table, count, values)))
    db.run(f"vacuum (analyze) {TABLES[table]}")


def _halves(table: str, count: int, values: dict[str, Any]) -> Iterator[str]:
    """Yield a statement for each writer."""
    salts = SEED * SALTS
    constants = {key: _constant(value) for key, value in values.items()}
    for writer in range(WRITERS):
        bounds = {"first": count * writer // WRITERS, "until": count * (writer + 1) // WRITERS}
        own_salt = salts + 100 * (1 + list(TABLES).index(table))
        yield inlined(f"add_{table}", salt=own_salt, world=salts, **bounds, **constants)


def _constant(value: Any) -> str:
    return f"'{value.isoformat()}'" if isinstance(value, datetime) else str(value)
