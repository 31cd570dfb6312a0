"""Choose the messages whose references go to the queue next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from delivery.domain.outgoing import Channel
from delivery.store.statements import SQL
from shared.ports import Database

MOST_EACH = 200  # in flight of an organization, for each unit of its weight
MOST = 2_000  # in flight of a channel and class
WORTH_A_LOOK = 500  # free places after a batch: the queue has three times as many references left
AHEAD = timedelta(minutes=10)
PATIENCE = timedelta(minutes=15)  # a reference that takes longer is sent again
CLASSES = ("transactional", "marketing")


@dataclass(frozen=True)
class Fed:
    """A message whose reference is to be sent, with the delay until it is due."""

    organization_id: str
    message_id: str
    delay_s: int


def feed(db: Database, channel: Channel, now: datetime, least: int = 1) -> list[Fed]:
    """Queue what may be in flight, transactional messages first. Commit, then send the result.

    Nothing is done if another feeder has the channel's turn, and for a class that has fewer than
    `least` free places.
    """
    with db.transaction():
        if not db.rows(SQL["lock_feeder"], channel=channel):
            return []
        return [own for name in CLASSES for own in _of_class(db, channel, name, now, least)]


def _of_class(db: Database, channel: Channel, name: str, now: datetime, least: int) -> list[Fed]:
    [row] = db.rows(
        SQL["feed"],
        channel=channel,
        **{"class": name},
        most_each=MOST_EACH,
        most=MOST,
        least=least,
        ahead=AHEAD,
        patience=PATIENCE,
        now=now,
    )
    return [Fed(*own) for own in row["fed"]]
