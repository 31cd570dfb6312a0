"""Cut the events of a span of time into shards, by organization and by contact.

What is needed for that comes from a sample of the table's pages that costs the same however large
the table is: counting exactly would grow with the largest tenant. A small table is read whole.
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

SAMPLE_BYTES = 100_000_000  # some 600,000 events, read and sorted in about a second


def shards_of(db: Database, span: Window, by_day: bool = False) -> tuple[dict[str, Any], ...]:
    """The shards of the events of a span, each of one of its days where `by_day`.

    None where one run can do them all.
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
    asked = {"start": span.start, "end": span.end, "by_day": by_day, "percent": sample["percent"]}
    sizes = _sizes(db, asked)
    cuts = _cuts(db, asked, {day: planner.contact_pieces(own) for day, own in sizes.items()})
    planned: list[Bounds] = []
    for day in days_of(span) if by_day else [None]:
        found = planner.plan_contacts(sizes[day], cuts[day])
        planned += [own | {"day": day} if day else own for own in found]
    return planner.numbered(planned) if len(planned) > 1 else ()


def _sizes(db: Database, asked: dict[str, Any]) -> dict[date | None, list[Size]]:
    """About how many events each organization has on each day."""
    sizes: dict[date | None, list[Size]] = defaultdict(list)
    for row in db.rows(SQL["sampled_sizes"], **asked):
        sizes[row["day"]].append(Size(row["organization_id"], row["count"]))
    return sizes


def _cuts(
    db: Database, asked: dict[str, Any], pieces: dict[date | None, dict[UUID, int]]
) -> dict[date | None, dict[UUID, list[UUID]]]:
    """Where to cut the organizations that are too large, day by day."""
    cuts: dict[date | None, dict[UUID, list[UUID]]] = defaultdict(lambda: defaultdict(list))
    wanted = [(day, *one) for day, own in pieces.items() for one in own.items()]
    if not wanted:
        return cuts
    days, organizations, counts = (list(column) for column in zip(*wanted, strict=True))
    places = {"days": days, "organizations": organizations, "pieces": counts}
    for row in db.rows(SQL["sampled_cuts"], **asked, **places):
        cuts[row["day"]][row["organization_id"]].append(row["contact_id"])
    return cuts
