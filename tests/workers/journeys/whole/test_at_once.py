"""Several consumers at once: no deadlock, and one execution for each contact."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any

from journeys.store import entering
from shared.adapters.postgres.client import Postgres
from tests.roles import as_worker
from tests.workers.journeys.stage import Stage, org, person

CONTACTS = 60
ALWAYS = {"reEntry": {"type": "always"}}


def test_overlapping_entries_make_one_execution_for_each_contact(stage: Stage) -> None:
    """In opposite orders, while executions of the same contacts end."""
    for number in range(1, CONTACTS + 1):
        stage.contact(number)
    steps: Any = {"task": ("action", {"type": "create_task"}), "done": ("exit", {})}
    journey = stage.journey(steps, [("task", "", "done")], settings=ALWAYS)
    barrier = Barrier(3)
    people = [person(number) for number in range(1, CONTACTS + 1)]

    def enter(contacts: Sequence[Any], request: str) -> None:
        with closing(Postgres(lambda: as_worker(stage.url))) as db:
            barrier.wait()
            for round_ in range(4):
                with db.transaction():
                    occasion = f"request:{request}{round_}"
                    entering.enter(db, org(), journey.id, contacts, occasion, stage.now)

    def end_all() -> None:
        with closing(Postgres(lambda: as_worker(stage.url))) as db:
            barrier.wait()
            for _ in range(8):
                db.execute(
                    "update journey.journey_executions set status = 'completed',"
                    " completed_at = now() where id in (select id from journey.journey_executions"
                    " where status = 'active' order by id desc for update skip locked)"
                )

    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(enter, people, "a"),
            pool.submit(enter, people[::-1], "b"),
            pool.submit(end_all),
        ]
        for own in runs:
            own.result()
    rows = stage.executions(journey)
    numbers = [(row["contact_id"], row["entry_no"]) for row in rows]
    assert len(numbers) == len(set(numbers)) >= CONTACTS
    entrants = stage.db.rows("select * from journey.entrants")
    active = {row["contact_id"]: row["id"] for row in rows if row["status"] == "active"}
    for entrant in entrants:
        contact = entrant["contact_id"]
        assert entrant["entries"] == max(no for own, no in numbers if own == contact)
        assert entrant["active_execution_id"] == active.get(contact)
