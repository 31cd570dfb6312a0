"""What a step decides: a pure function of the step, the execution and the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from journeys.domain.execution import Execution, Waiting
from journeys.domain.graph import Step

# An event of a transaction that had begun before the visit may commit after it.
GATE_READ_AFTER = timedelta(minutes=2)
GATE_HOURS = 720
CHANNELS = {"send_email": "email", "send_sms": "sms", "send_push": "push"}
HANDED_OVER = ("create_task", "send_linkedin")
OF_A_MESSAGE = ("email_", "sms_", "push_")


class StepFailed(Exception):
    """A step cannot be carried out. The text has no value of a contact."""


@dataclass(frozen=True)
class Message:
    """A message that a step sends through a channel."""

    channel: str
    template_id: str
    message_class: str
    content: Mapping[str, Any] | None


@dataclass(frozen=True)
class Gate:
    """An event for which a step waits."""

    event_type: str
    scope: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class GoOn:
    """The execution leaves the step through a connection with this label."""

    label: str | None = None
    message: Message | None = None
    action: str | None = None  # what the platform does


@dataclass(frozen=True)
class Wait:
    """The execution waits in the step; None: until an event, without a deadline."""

    until: datetime | None
    gate: Gate | None = None


@dataclass(frozen=True)
class End:
    """The execution ends as completed."""

    reason: str


Decision = GoOn | Wait | End


@dataclass(frozen=True)
class Visit:
    """A step that an execution enters: the `seq`-th visit."""

    step: Step
    execution: Execution
    seq: int
    now: datetime
    config: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", self.step.config)


def enter(visit: Visit) -> Decision:
    """Return what follows when an execution enters a step. Raises StepFailed."""
    decide = _ENTER.get(visit.step.kind or "")
    if decide is None:
        raise StepFailed(f"steps of the type {visit.step.type!r} are not supported")
    try:
        return decide(visit)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise StepFailed(f"the settings of the step are invalid ({type(error).__name__})") from None


def resume(step: Step, waiting: Waiting, now: datetime) -> GoOn | Wait:
    """Return what follows when an execution wakes up in the step in which it waits."""
    if step.kind != "gate" or waiting.has_happened:
        return GoOn("yes" if step.kind == "gate" else None)
    if waiting.until is not None and waiting.until <= now:
        return GoOn("no")
    return Wait(_next_read(waiting.since, waiting.until, now))


def _next_read(since: datetime, until: datetime | None, now: datetime) -> datetime | None:
    """A gate reads the events two minutes after the visit, and at its deadline."""
    soon = since + GATE_READ_AFTER
    if now >= soon:
        return until
    return soon if until is None else min(soon, until)


def _trigger(visit: Visit) -> GoOn:
    return GoOn()


def _exit(visit: Visit) -> End:
    return End("exit")


def _action(visit: Visit) -> GoOn:
    config = visit.config
    name = config.get("type") or config.get("action")
    if name in HANDED_OVER:
        return GoOn(action=name)
    if name not in CHANNELS:
        raise StepFailed(f"the action {name!r} is not known")
    own = {"subject": config.get("subject"), "from_name": config.get("fromName")}
    if name == "send_push":
        own = {"title": config.get("title")}
    elif name == "send_sms":
        own = {}
    content = {key: value for key, value in own.items() if value}
    return GoOn(
        message=Message(
            CHANNELS[name], config["templateId"], config.get("class", "marketing"), content or None
        )
    )


def _delay(visit: Visit) -> Wait:
    config = visit.config
    if config.get("type") == "delay_until":
        return Wait(visit.execution.local_times[visit.step.id])
    duration = timedelta(**{config["unit"]: config["duration"]})
    if duration <= timedelta(0):
        raise StepFailed("the duration is not above 0")
    return Wait(visit.now + duration)


def _split(visit: Visit) -> GoOn:
    """The label depends on the execution, the step and the visit: a repetition chooses the same."""
    branches = [own for own in visit.config["branches"] if own["percentage"] > 0]
    place = 100 * fraction(visit.execution.id, visit.step.id, visit.seq)
    for branch in branches:
        place -= branch["percentage"]
        if place < 0:
            return GoOn(branch["label"])
    return GoOn(branches[-1]["label"])


def fraction(*parts: object) -> float:
    """Return a number in [0, 1) that looks random and depends on the parts alone."""
    digest = sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _condition(visit: Visit) -> GoOn:
    verdict = visit.execution.verdicts[visit.step.id]
    if isinstance(verdict, str):
        raise StepFailed(f"the criteria of the condition are invalid: {verdict}")
    return GoOn("yes" if verdict else "no")


def _gate(visit: Visit) -> Wait:
    config, now = visit.config, visit.now
    event_type: str = config["eventType"]
    hours = config.get("timeout", GATE_HOURS)
    until = None if hours is None else now + timedelta(hours=hours)
    default = "execution" if event_type.startswith(OF_A_MESSAGE) else "contact"
    scope = config.get("scope", default)
    since = visit.execution.started_at if scope == "execution" else now
    return Wait(_next_read(now, until, now), Gate(event_type, scope, since, until))


_ENTER: Mapping[str, Callable[[Visit], Decision]] = {
    "trigger": _trigger,
    "action": _action,
    "delay": _delay,
    "split": _split,
    "condition": _condition,
    "gate": _gate,
    "exit": _exit,
}
