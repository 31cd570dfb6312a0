"""Split the events of a span of time into shards, by organization and by contact.

The split points come from a sample of the table's pages, whose cost does not depend on the table:
an exact count would grow with the largest tenant. A small table is read completely.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any
from uuid import UUID

from analytics.store.statements import SQL, days_of
from shared.ledger import shards as planner
from shared.ledger.shards import Bounds, Size
from shared.ports import Database
from shared.windows import Window

SAMPLE_BYTES = 100_000_000  # about 600,000 events, read and sorted in about a second


def shards_of(db: Database, span: Window, by_day: bool = False) -> tuple[dict[str, Any], ...]:
    """Return the shards of the events of a span, per day if `by_day`.

    None if one run can process them all.
    """
    [counted] = db.rows(
        SQL["events_beyond"],
        start=span.start,
        end=span.end,
        most=planner.SHARD_EVENTS_TARGET,
    )
    if not counted["beyond"]:
        return ()
    [sample] = db.rows(SQL["sample_percent"], bytes=SAMPLE_BYTES)
    parameters = {
        "start": span.start,
        "end": span.end,
        "by_day": by_day,
        "percent": sample["percent"],
    }
    sizes = _sizes(db, parameters)
    cuts = _cuts(
        db, parameters, {day: planner.contact_pieces(day_sizes) for day, day_sizes in sizes.items()}
    )
    planned: list[Bounds] = []
    for day in days_of(span) if by_day else [None]:
        found = planner.plan_contacts(sizes[day], cuts[day])
        planned += [own | {"day": day} if day else own for own in found]
    return planner.numbered(planned) if len(planned) > 1 else ()


def _sizes(db: Database, parameters: dict[str, Any]) -> dict[date | None, list[Size]]:
    """Return the approximate number of events of each organization, per day."""
    sizes: dict[date | None, list[Size]] = defaultdict(list)
    for row in db.rows(SQL["sampled_sizes"], **parameters):
        sizes[row["day"]].append(Size(row["organization_id"], row["count"]))
    return sizes


def _cuts(
    db: Database, parameters: dict[str, Any], pieces: dict[date | None, dict[UUID, int]]
) -> dict[date | None, dict[UUID, list[UUID]]]:
    """Return the split points of the organizations that are too large, per day."""
    cuts: dict[date | None, dict[UUID, list[UUID]]] = defaultdict(lambda: defaultdict(list))
    wanted = [(day, *count) for day, counts in pieces.items() for count in counts.items()]
    if not wanted:
        return cuts
    days, organizations, counts = (list(column) for column in zip(*wanted, strict=True))
    places = {"days": days, "organizations": organizations, "pieces": counts}
    for row in db.rows(SQL["sampled_cuts"], **parameters, **places):
        cuts[row["day"]][row["organization_id"]].append(row["contact_id"])
    return cuts
