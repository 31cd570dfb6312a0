"""From a row to `sent`: the whole path, with the capture adapter."""

from __future__ import annotations

from shared.outcome import Done
from tests.workers.delivery.stage import Stage, org, person


def test_a_message_goes_from_its_insert_to_sent(stage: Stage) -> None:
    stage.organization()
    stage.contact(first_name="Zoe")
    message = stage.message()
    [reference] = stage.feed()
    assert stage.state(message) == ("queued", None)
    [outcome] = stage.consume([reference])
    assert isinstance(outcome, Done)
    row = stage.row(message)
    assert (row["state"], row["attempts"], row["address"]) == ("sent", 1, "p1@people.example")
    [attempt] = stage.attempts(message)
    assert (attempt["verdict"], attempt["call_id"] is not None) == ("accepted", True)
    [call] = stage.db.rows("select * from delivery.calls")
    assert (call["message_count"], call["finished_at"] is not None) == (1, True)
    folder = f"captured/2026-03-10/{org()}"
    assert stage.captured.keys() == {f"{folder}/{message}", f"{folder}/calls/{call['id']}"}
    kept = stage.captured[f"{folder}/{message}"]["headers"]
    assert (kept["To"], kept["Subject"]) == ("p1@people.example", "Hello Zoe")
    [event] = stage.db.rows("select * from analytics.contact_activity")
    assert (event["event_type"], event["contact_id"]) == ("email_sent", person(1))
    assert event["event_id"] == f"msg:{message}:sent"
