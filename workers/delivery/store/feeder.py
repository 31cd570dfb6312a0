"""Choose the messages whose references go to the queue next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from delivery.domain.outgoing import Channel
from delivery.store.statements import SQL
from shared.ports import Database, Row

MOST_EACH = 200  # in flight of an organization, for each unit of its weight
MOST = 2_000  # in flight of a channel and class
AHEAD = timedelta(minutes=10)
PATIENCE = timedelta(minutes=15)  # a reference that takes longer is sent again
CLASSES = ("transactional", "marketing")


@dataclass(frozen=True)
class Fed:
    """A message whose reference is to be sent, with the delay until it is due."""

    organization_id: UUID
    message_id: UUID
    delay_s: int


def feed(db: Database, channel: Channel, now: datetime) -> list[Fed]:
    """Queue what may be in flight, transactional messages first. Commit, then send the result.

    If another feeder has the channel's turn, nothing is done.
    """
    with db.transaction():
        if not db.rows(SQL["lock_feeder"], channel=channel):
            return []
        rows = [row for name in CLASSES for row in _together(_of_class(db, channel, name, now))]
    return [Fed(row["organization_id"], row["id"], row["delay_s"]) for row in rows]


def _together(rows: list[Row]) -> list[Row]:
    """Return the messages of an organization one after the other, because a call carries those of
    one organization alone. Those with the fewest come first: they wait for no other.
    """
    counts = Counter(row["organization_id"] for row in rows)
    return sorted(rows, key=lambda row: (counts[row["organization_id"]], row["organization_id"]))


def _of_class(db: Database, channel: Channel, name: str, now: datetime) -> list[Row]:
    return db.rows(
        SQL["feed"],
        channel=channel,
        **{"class": name},
        most_each=MOST_EACH,
        most=MOST,
        ahead=AHEAD,
        patience=PATIENCE,
        now=now,
    )
