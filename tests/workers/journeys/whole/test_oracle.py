"""Random journeys over simulated days, compared with a plain interpreter of their steps."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mauntic.database.embedded.server import Server
from tests.scratch import scratch_database
from tests.thorough import examples
from tests.workers.journeys.stage import NOW, TEMPLATE, Journey, Link, Stage

DAYS = 6
EVENTS = ("form_submitted", "page_visited")
SENDS = {"send_email": "email", "send_sms": "sms", "send_push": "push"}
Steps = dict[str, tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """A journey, and the events of its contact: type and minute."""

    steps: Steps
    links: list[Link]
    events: list[tuple[str, int]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Each step leads to later ones. Waits last whole hours, and events come at half hours."""
    count = draw(st.integers(1, 7))
    steps: Steps = {}
    links: list[Link] = []
    for number in range(count):
        name, later = f"s{number}", [f"s{other}" for other in range(number + 1, count)]
        step, labels = draw(st.sampled_from(_KINDS))(draw)
        steps[name] = step
        for label in labels:
            if later and step[0] != "exit" and draw(st.integers(0, 4)):
                links.append((name, label, draw(st.sampled_from(later))))
    # One entry: a trigger leads to the first step.
    steps["start"] = ("trigger", {})
    links.append(("start", "", "s0"))
    minutes = st.integers(1, DAYS * 24 - 1).map(lambda hour: hour * 60 + 30)
    events = draw(st.lists(st.tuples(st.sampled_from(EVENTS), minutes), max_size=4, unique=True))
    return Case(steps, links, sorted(events, key=lambda own: own[1]))


def _action(draw: st.DrawFn) -> Any:
    name = draw(st.sampled_from(sorted(SENDS)))
    return ("action", {"type": name, "templateId": str(TEMPLATE)}), [""]


def _delay(draw: st.DrawFn) -> Any:
    return ("delay", {"duration": draw(st.integers(1, 40)), "unit": "hours"}), [""]


def _gate(draw: st.DrawFn) -> Any:
    config = {"eventType": draw(st.sampled_from(EVENTS)), "timeout": draw(st.integers(1, 30))}
    return ("gate", config), ["yes", "no", ""]


def _split(draw: st.DrawFn) -> Any:
    share = draw(st.integers(0, 100))
    branches = [{"label": "a", "percentage": share}, {"label": "b", "percentage": 100 - share}]
    return ("split", {"branches": branches}), ["a", "b", ""]


def _exit(draw: st.DrawFn) -> Any:
    return ("exit", {}), []


_KINDS = [_action, _delay, _gate, _split, _exit]


def expected(
    case: Case, journey: Journey, execution_id: object
) -> tuple[list[str], list[str], tuple[str, str | None]]:
    """The visits, channels of messages and state after DAYS, by walking through the steps."""
    links = {(start, label): target for start, label, target in case.links}
    visits: list[str] = []
    channels: list[str] = []
    name: str | None = "s0"
    minute, seq = 0, 0
    while name is not None:
        kind, config = case.steps[name]
        seq += 1
        label = ""
        if kind == "exit":
            return [*visits, name], channels, ("completed", "exit")
        if kind == "action":
            channels.append(SENDS[config["type"]])
        elif kind == "delay":
            minute += config["duration"] * 60
        elif kind == "gate":
            until = minute + config["timeout"] * 60
            times = [
                at for event, at in case.events
                if event == config["eventType"] and minute <= at <= until
            ]  # fmt: skip
            label, minute = ("yes", times[0]) if times else ("no", until)
        elif kind == "split":
            digest = sha256(f"{execution_id}/{journey.steps[name]}/{seq}".encode()).digest()
            place = int.from_bytes(digest[:6]) * 100 / 2**48
            label = "a" if place < config["branches"][0]["percentage"] else "b"
        if minute > DAYS * 24 * 60:
            return [*visits, f"{name} (running)"], channels, ("active", None)
        visits.append(f"{name}:{label}" if label else name)
        target = links.get((name, label)) or links.get((name, ""))
        if target is None:
            return visits, channels, ("completed", "no_branch" if label else "end")
        name = target
    raise AssertionError


@hypothesis_settings(max_examples=examples(40))
@given(case=cases())
def test_a_journey_does_what_its_steps_say(postgres: Server, migrated: str, case: Case) -> None:
    with scratch_database(postgres, migrated) as url, closing(Stage(url)) as stage:
        stage.contact()
        journey = stage.journey(case.steps, case.links)
        stage.enroll(journey, 1)
        for event_type, minute in case.events:
            stage.pass_time(minutes=minute - (stage.now - NOW) / timedelta(minutes=1))
            stage.event(1, event_type)
            stage.tick()
        stage.pass_time(minutes=DAYS * 24 * 60 - (stage.now - NOW) / timedelta(minutes=1))
        visits, channels, state = expected(case, journey, stage.execution(journey)["id"])
        assert stage.visits(journey) == visits
        assert sorted(row["channel"] for row in stage.messages()) == sorted(channels)
        assert stage.state(journey) == state
