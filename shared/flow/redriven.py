"""Find the dead letter that a message was redriven from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.body_limits import kept_part
from shared.messages import object_meant
from shared.ports import Ports
from shared.queues import Queue
from shared.sql.statements import SQL

REDRIVEN_FROM = "redrivenFrom"
BIGINT_MAX = 2**63 - 1


def link(letters: Sequence[dict[str, Any]], queue: Queue, ports: Ports) -> None:
    """Record the predecessor of each dead letter. A body can name any: it is accepted if that dead
    letter was in this queue, was redriven, and had the same body.
    """
    predecessors = {
        id(letter): letter["body"].get(REDRIVEN_FROM)
        for letter in letters
        if _is_object(letter["body"])
    }
    ids = [n for n in predecessors.values() if type(n) is int and 0 < n <= BIGINT_MAX]
    if not ids:
        return
    found = ports.db.rows(SQL["redriven_letters"], ids=ids, queue=queue.name)
    bodies = {row["id"]: row["body"] for row in found}
    for letter in letters:
        earlier = predecessors.get(id(letter))
        if (
            type(earlier) is int
            and earlier in bodies
            and _is_again(letter["body"], bodies[earlier], queue.body_chars_max)
        ):
            letter["redrivenFrom"] = earlier


def _is_object(body: object) -> bool:
    return isinstance(body, dict)


def _is_again(body: dict[str, Any], earlier: object, chars_max: int) -> bool:
    """Return whether `mauntic dlq redrive` made the body from the earlier one: it adds a mark and
    the planned time.
    """
    meant = object_meant(earlier)
    if meant is None:
        return False
    added = {REDRIVEN_FROM} if meant.get("scheduledFor") else {REDRIVEN_FROM, "scheduledFor"}
    return bool(_without(body, added) == kept_part(_without(meant, added), chars_max))


def _without(body: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}
