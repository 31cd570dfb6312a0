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
    `least` free places. To find no work is one round trip.
    """
    limits = {"channel": channel, "most": MOST, "least": least}
    [look] = db.rows(SQL["feeder_has_work"], **limits, classes=list(CLASSES))
    if not look["has_work"]:
        return []
    times = {"ahead": AHEAD, "patience": PATIENCE, "now": now}
    of_all = {**limits, **times, "most_each": MOST_EACH}
    with db.transaction():
        if not db.rows(SQL["lock_feeder"], channel=channel):
            return []
        feeds = [(SQL["feed"], {**of_all, "class": name}) for name in CLASSES]
        found = db.together(*feeds, commit=True)
    return [Fed(*own) for [row] in found for own in row["fed"]]
