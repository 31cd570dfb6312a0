"""A model of the delivery worker: messages, two consumers, a sweep, and what happens next to them.

A step is one transaction, one call or one event; it is atomic, as in Postgres. Leases expire at any
moment: the model has no clock. Every change of a state is checked against the table of transitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from delivery.domain.transitions import FINAL, GUARDS, allows

OPEN_AGAIN = ("pending", "queued", "deferred", "claimed", "sending")
MAY_HAVE_ARRIVED = ("flight", "accepted", "unknown")
LAPSES_MAX = 2  # of the third lapse the sweep makes `held`
RETRIES_MAX = 1  # three in the worker; one is enough to see the order


class Violation(Exception):
    """A promise is broken."""


class Attempt(NamedTuple):
    """`fate` is what the provider did. `given_up`: the message was taken for uncertain by it."""

    config: int
    is_open: bool
    fate: str
    given_up: bool


class Message(NamedTuple):
    """A row of the ledger. `extra` is how many calls may follow an unknown one."""

    state: str = "pending"
    key: int = 0
    token: int = 0
    lapses: int = 0
    retries: int = 0
    attempts: tuple[Attempt, ...] = ()
    duplicate: bool = False
    place: bool = False
    final: bool = False
    evidenced: bool = False
    extra: int = 0


class Item(NamedTuple):
    """What a consumer knows of a message that it claimed; `attempt` while it is in a call."""

    message: int
    token: int
    config: int
    attempt: int = -1
    verdict: str = ""
    granted: bool = True


class Consumer(NamedTuple):
    """`items` are in the current step, `rest` wait for their own call."""

    phase: str = "idle"
    items: tuple[Item, ...] = ()
    rest: tuple[Item, ...] = ()


class World(NamedTuple):
    """Everything; `left` counts the events that may still happen."""

    messages: tuple[Message, ...]
    consumers: tuple[Consumer, ...]
    left: tuple[int, ...]
    used: int = 0
    suppressed: bool = False
    paused: bool = False


EVENTS = (
    "crash", "lost_answer", "suppress", "pause", "resume", "evidence", "dead_letter", "operator",
    "expire", "cancel", "produce", "reconcile", "broken_template", "feed", "claim",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scenario:
    """A bounded world. `events` says how often each may happen."""

    name: str
    messages: int = 1
    repeats: bool = False  # on_uncertain = retry
    configs: int = 1
    cap: int | None = None
    outcomes: tuple[str, ...] = ("accepted", "unknown")
    events: dict[str, int] = field(default_factory=dict)

    def start(self) -> World:
        rows = tuple(Message(key=key, extra=int(self.repeats)) for key in range(self.messages))
        return World(
            rows, (Consumer(), Consumer()), tuple(self.events.get(name, 0) for name in EVENTS)
        )


@dataclass
class Machine:
    """The steps of a scenario. `guards` are the conditions that the statements have."""

    scenario: Scenario
    guards: frozenset[str] = frozenset(GUARDS)
    used_rows: set[tuple[str, str, str]] = field(default_factory=set)
    without: frozenset[str] = frozenset()  # statements that never run

    def steps(self, world: World) -> Iterator[World]:
        """Every world that one step makes of this one."""
        for place, consumer in enumerate(world.consumers):
            yield from self._of_consumer(world, place, consumer)
        yield from self._of_sweep(world)
        yield from self._of_events(world)

    def on(self, guard: str) -> bool:
        assert guard in GUARDS
        return guard in self.guards

    # -- consumers

    def _of_consumer(self, world: World, place: int, consumer: Consumer) -> Iterator[World]:
        step = {
            "idle": self._claim, "claimed": self._reserve, "reserved": self._set_places,
            "placed": self._begin_call, "called": self._answer, "answered": self._settle,
        }[consumer.phase]  # fmt: skip
        yield from step(world, place, consumer)
        if consumer.phase == "placed":
            yield from self._give_back_claim(world, place, consumer)
        crashed = self._spend(world, "crash")
        if crashed and consumer.phase != "idle":
            lost = tuple(
                self._ends(message, item.attempt, "unknown")
                if consumer.phase == "called" and item
                else message
                for message, item in self._with_items(world, consumer)
            )
            yield self._next(crashed._replace(messages=lost), place, Consumer())

    def _claim(self, world: World, place: int, consumer: Consumer) -> Iterator[World]:
        spent = self._spend(world, "claim")
        if not spent:
            return
        ready = [n for n, message in enumerate(world.messages) if self._claimable(message)]
        for chosen in _subsets(ready):
            for configs in _choices(chosen, self.scenario.configs):
                yield self._claimed(spent, place, dict(zip(chosen, configs, strict=True)))

    def _claimable(self, message: Message) -> bool:
        if message.state == "claimed":
            return message.lapses < LAPSES_MAX
        if message.state in ("pending", "queued", "deferred"):
            return True
        if message.state == "held":
            return not self.on("held_is_closed")
        return message.state == "sending" and not self.on("sending_is_closed")

    def _claimed(self, world: World, place: int, configs: dict[int, int]) -> World:
        rows, items, used = list(world.messages), [], world.used
        for number, config in configs.items():
            row = rows[number]
            lapses = row.lapses + (row.state == "claimed")
            if world.suppressed:
                row, used = self._refused(row, "claim", "skipped", used)
            elif world.paused:
                row, used = self._refused(row, "claim", "deferred", used)
            else:
                unknown = [one.config for one in row.attempts if one.given_up]
                if unknown and self.on("unknown_keeps_config"):
                    config = unknown[0]
                row = self._change(row, "claim", "claimed", token=row.token + 1, lapses=lapses)
                items.append(Item(number, row.token, config))
            rows[number] = row
        world = world._replace(messages=tuple(rows), used=used)
        counted = self.scenario.cap is not None and self.on("place_before_call")
        phase = "claimed" if counted else "placed"
        return self._next(world, place, Consumer(phase, tuple(items)) if items else Consumer())

    def _reserve(self, world: World, place: int, consumer: Consumer) -> Iterator[World]:
        assert self.scenario.cap is not None
        room, items = self.scenario.cap - world.used, []
        for item in consumer.items:
            has_place = world.messages[item.message].place
            granted = has_place or room > 0
            room -= granted and not has_place
            items.append(item._replace(granted=granted))
        used = self.scenario.cap - room
        after = consumer._replace(phase="reserved", items=tuple(items))
        yield self._next(world._replace(used=used), place, after)

    def _set_places(self, world: World, place: int, consumer: Consumer) -> Iterator[World]:
        rows, kept = list(world.messages), []
        for item in consumer.items:
            row = rows[item.message]
            ours = row.state == "claimed" and row.token == item.token
            if not ours and self.on("place_is_ours"):
                continue
            if item.granted:
                rows[item.message] = row._replace(place=True)
                kept.append(item)
            elif ours:
                rows[item.message] = self._change(row, "set_places", "deferred")
            else:
                rows[item.message] = row._replace(state="deferred")
        after = Consumer("placed", tuple(kept)) if kept else Consumer()
        yield self._next(world._replace(messages=tuple(rows)), place, after)

    def _give_back_claim(self, world: World, place: int, consumer: Consumer) -> Iterator[World]:
        """The 120 s are over, or the first message cannot be rendered."""
        first, *rest = consumer.items
        row = world.messages[first.message]
        after = _after(tuple(rest))
        if row.state != "claimed" or row.token != first.token:
            return
        released = self._change(row, "release", "pending")
        yield self._next(_with(world, first.message, released), place, after)
        broken = self._spend(world, "broken_template")
        if broken:
            refused, used = self._refused(row, "fail_rendering", "failed", world.used)
            yield self._next(
                _with(broken, first.message, refused)._replace(used=used), place, after
            )

    def _begin_call(self, world: World, place: int, consumer: Consumer) -> Iterator[World]:
        first = consumer.items[0]
        alone = first.verdict == "alone"
        group = [first] if alone else [i for i in consumer.items if i.config == first.config]
        rest = tuple(item for item in consumer.items if item not in group)
        rows, called, used = list(world.messages), [], world.used
        for item in group:
            row = rows[item.message]
            if row.state != "claimed" and self.on("call_state"):
                continue
            if row.token != item.token and self.on("call_token"):
                continue
            if self.on("second_check") and (world.suppressed or world.paused):
                result = "skipped" if world.suppressed else "deferred"
                rows[item.message], used = self._refused(row, "begin_call", result, used)
                continue
            attempt = Attempt(item.config, True, "flight", False)
            self._promises(world, tuple(rows), item.message, attempt)
            called.append(item._replace(attempt=len(row.attempts), verdict=""))
            rows[item.message] = self._change(
                row, "begin_call", "sending", attempts=(*row.attempts, attempt)
            )
        world = world._replace(messages=tuple(rows), used=used)
        self._within_cap(world)
        after = Consumer("called", tuple(called), rest) if called else _after(rest)
        yield self._next(world, place, after)

    def _answer(self, world: World, place: int, consumer: Consumer) -> Iterator[World]:
        """The provider's answer. `unknown` stands for both fates: the worse one is counted."""
        fates = {"accepted": "accepted", "unknown": "unknown"}
        for verdicts in _answers(self.scenario.outcomes, len(consumer.items)):
            rows = list(world.messages)
            for item, verdict in zip(consumer.items, verdicts, strict=True):
                row = rows[item.message]
                rows[item.message] = self._ends(row, item.attempt, fates.get(verdict, "no"))
            items = tuple(
                item._replace(verdict=verdict)
                for item, verdict in zip(consumer.items, verdicts, strict=True)
            )
            after = consumer._replace(phase="answered", items=items)
            yield self._next(world._replace(messages=tuple(rows)), place, after)

    def _settle(self, world: World, place: int, consumer: Consumer) -> Iterator[World]:
        rows, used, again = list(world.messages), world.used, []
        for item in consumer.items:
            before = rows[item.message]
            rows[item.message] = self._verdict(before, item)
            if not self.on("place_kept_after_call") and item.verdict in ("accepted", "unknown"):
                used -= before.place
            if item.verdict == "all_refused" and rows[item.message].state == "claimed":
                again.append(item._replace(attempt=-1, verdict="alone"))
        after = world._replace(messages=tuple(rows), used=used)
        yield self._next(after, place, _after((*again, *consumer.rest)))
        unheard = self._spend(after, "lost_answer")
        if unheard:
            yield self._next(unheard, place, consumer)

    def _verdict(self, row: Message, item: Item) -> Message:
        """The message after the verdict; its attempt is closed in any case."""
        attempts = list(row.attempts)
        attempt = attempts[item.attempt]
        attempts[item.attempt] = attempt._replace(is_open=False)
        row = row._replace(attempts=tuple(attempts))
        if item.verdict == "accepted":
            if row.state == "sent":
                return row
            if self.on("evidence_counts") or row.state in ("sending", "uncertain"):
                return self._change(row, "settle_call", "sent", final=True)
            return row
        if self.on("verdict_state") and (row.state not in ("sending", "uncertain") or row.final):
            return row
        if self.on("verdict_token") and row.token != item.token:
            return row
        if item.verdict == "unknown":
            attempts[item.attempt] = attempts[item.attempt]._replace(given_up=True)
            row = row._replace(attempts=tuple(attempts))
            return self._change(row, "settle_call", "uncertain")
        if item.verdict == "retry":
            is_last = row.retries >= RETRIES_MAX
            target = "held" if is_last else "deferred"
            return self._change(row, "settle_call", target, retries=row.retries + 1)
        if item.verdict == "all_refused" and self.on("refusal_of_all_is_of_none"):
            if row.state == "uncertain":
                return row
            return self._change(row, "settle_call", "claimed")
        targets = {
            "refused": "failed", "all_refused": "failed", "suppress": "skipped",
            "defer": "deferred", "pause": "pending",
        }  # fmt: skip
        after, _ = self._refused(row, "settle_call", targets[item.verdict], 0)
        if item.verdict == "all_refused" and after.state == "failed" and item.message > 0:
            raise Violation("a bad address failed its neighbor")
        return after

    # -- the sweep

    def _of_sweep(self, world: World) -> Iterator[World]:
        for number, row in enumerate(world.messages):
            for statement, after in self._swept(world, number, row):
                if statement not in self.without:
                    fed = self._spend(world, "feed") if statement == "feed" else None
                    yield _with(fed or world, number, after)
        for event, statement in (("expire", "sweep_expired"), ("cancel", "sweep_canceled")):
            spent = self._spend(world, event)
            if spent:
                for number, row in enumerate(world.messages):
                    ended = self._ended(row, statement)
                    if ended:
                        yield _with(spent, number, ended)

    def _swept(self, world: World, number: int, row: Message) -> Iterator[tuple[str, Message]]:
        is_fed = row.state in ("pending", "deferred")
        is_fed = is_fed or (row.state == "held" and not self.on("held_is_closed"))
        if is_fed and world.left[EVENTS.index("feed")]:
            yield "feed", self._change(row, "feed", "queued")
        if row.state == "queued":
            yield "sweep_queued", self._change(row, "sweep_queued", "pending")
        if row.state == "claimed":
            last = row.lapses >= LAPSES_MAX
            after = self._change(
                row, "sweep_lapsed", "held" if last else "pending", lapses=row.lapses + 1
            )
            yield "sweep_lapsed", after
        if row.state == "sending":
            newest = row.attempts[-1]._replace(given_up=True)
            row = row._replace(attempts=(*row.attempts[:-1], newest))
            yield "sweep_sending", self._change(row, "sweep_sending", "uncertain")
        if row.state == "uncertain" and not row.final and not self._is_in_call(world, number):
            yield "sweep_uncertain", self._after_waiting(row)

    def _after_waiting(self, row: Message) -> Message:
        """Ten minutes after an unknown call, which takes 15 s at most; or two days after it."""
        may = (self.scenario.repeats or not self.on("hold_is_kept")) and (
            not row.duplicate or not self.on("one_repetition")
        )
        if not may:
            return self._change(row, "sweep_uncertain", "uncertain", final=True)
        place = row.place and not self.on("new_place_for_repetition")
        return self._change(row, "sweep_uncertain", "pending", duplicate=True, place=place)

    def _ended(self, row: Message, statement: str) -> Message | None:
        if row.state in ("pending", "queued", "deferred") or (
            row.state == "held" and statement == "sweep_canceled"
        ):
            return self._refused(row, statement, "skipped", 0)[0]
        if row.state == "held":
            return self._refused(row, statement, "failed", 0)[0]
        if row.final and row.state == "sent" and not self.on("final_stays"):
            return self._change(row, statement, "skipped")
        return None

    # -- events

    def _of_events(self, world: World) -> Iterator[World]:
        if suppressed := self._spend(world, "suppress"):
            yield suppressed._replace(suppressed=True)
        if not world.paused and (paused := self._spend(world, "pause")):
            yield paused._replace(paused=True)
        if world.paused and (resumed := self._spend(world, "resume")):
            yield resumed._replace(paused=False)
        if produced := self._spend(world, "produce"):
            rows = world.messages if self.on("key_is_new") else (*world.messages, Message())
            yield produced._replace(messages=rows)
        for number, row in enumerate(world.messages):
            yield from self._to_message(world, number, row)

    def _to_message(self, world: World, number: int, row: Message) -> Iterator[World]:
        may = [n for n, one in enumerate(row.attempts) if one.fate in MAY_HAVE_ARRIVED]
        if may and (seen := self._spend(world, "evidence")):
            after = self._ends(row, may[0], "accepted")._replace(evidenced=True)
            counts = self.on("evidence_counts") or row.state in ("sending", "uncertain")
            if counts and row.state != "sent":
                after = self._change(after, "record_evidence", "sent", final=True)
            yield _with(seen, number, after)
        holds: tuple[str, ...] = ("pending", "queued", "claimed")
        if not self.on("dead_letter_spares_calls"):
            holds = (*holds, "sending", "uncertain")
        if row.state in holds and (dead := self._spend(world, "dead_letter")):
            yield _with(dead, number, self._change(row, "hold_dead", "held"))
        if row.state == "held" and (decided := self._spend(world, "operator")):
            after = self._change(row, "resend_held", "pending", lapses=0, retries=0)
            yield _with(decided, number, after)
        if row.state == "uncertain" and not self._is_in_call(world, number):
            yield from self._settled(world, number, row)

    def _settled(self, world: World, number: int, row: Message) -> Iterator[World]:
        """An operator resends or settles an uncertain message; or its request is repeated."""
        if decided := self._spend(world, "operator"):
            after = self._change(
                row, "resolve_uncertain", "pending",
                duplicate=True, place=False, final=False, extra=row.extra + 1,
            )  # fmt: skip
            yield _with(decided, number, after)
            for target in ("sent", "failed"):
                settled = self._change(row, "resolve_uncertain", target, final=True)
                gone = tuple(one._replace(fate="no") for one in settled.attempts)
                yield _with(decided, number, settled._replace(attempts=gone))
        if row.final or not (repeated := self._spend(world, "reconcile")):
            return
        if (world.suppressed or world.paused) and self.on("repetition_is_checked"):
            return
        if world.suppressed or world.paused:
            raise Violation("a request is repeated after a suppression")
        known = self._ends(row, len(row.attempts) - 1, "accepted")
        after = self._change(known, "settle_repetition", "sent", final=True)
        yield _with(repeated, number, after)
        fates = [one.fate for one in row.attempts if one.fate in MAY_HAVE_ARRIVED]
        if fates == ["unknown"]:
            missing = self._ends(row, len(row.attempts) - 1, "no")
            refused = self._change(missing, "settle_repetition", "failed", final=True)
            yield _with(repeated, number, refused)

    # -- what the promises are

    def _promises(
        self, world: World, rows: tuple[Message, ...], number: int, attempt: Attempt
    ) -> None:
        row = rows[number]
        if world.suppressed or world.paused:
            raise Violation("a call begins after a committed suppression or pause")
        if row.final or row.state in FINAL:
            raise Violation("a call begins for a final message")
        if row.evidenced:
            raise Violation("a call begins after evidence of an earlier one")
        earlier = [
            one
            for other in rows
            if other.key == row.key
            for one in other.attempts
            if one.fate in MAY_HAVE_ARRIVED
        ]
        if any(not one.given_up for one in earlier):
            raise Violation("two calls of one message may both be accepted")
        if len(earlier) > row.extra:
            raise Violation("a call follows an unknown one without permission")
        if earlier and not row.duplicate:
            raise Violation("a repetition is not marked as possible_duplicate")
        if any(one.config != attempt.config for one in earlier):
            raise Violation("another provider is called after an unknown attempt")

    def _within_cap(self, world: World) -> None:
        arrived = [
            one for row in world.messages for one in row.attempts if one.fate in MAY_HAVE_ARRIVED
        ]
        if self.scenario.cap is not None and len(arrived) > self.scenario.cap:
            raise Violation("more calls than the warm-up allows")

    def _change(self, row: Message, statement: str, target: str, **fields: Any) -> Message:
        """The only place where a state changes by the rules."""
        source = row.state
        if source == "held" and target in OPEN_AGAIN and statement != "resend_held":
            raise Violation("a held message is opened by no operator")
        guards_hold = self.guards == frozenset(GUARDS)
        if guards_hold:
            assert allows(statement, cast(Any, source), cast(Any, target)), (
                f"no row lets {statement} change {source} to {target}"
            )
        self.used_rows.add((statement, source, target))
        after = row._replace(state=target, **fields)
        if target in ("skipped", "failed"):
            after = after._replace(final=True)
            hidden = [one for one in after.attempts if one.fate in MAY_HAVE_ARRIVED]
            if hidden and statement != "resolve_uncertain":
                raise Violation(f"{target} hides a call that may have arrived")
        return after

    def _refused(self, row: Message, statement: str, target: str, used: int) -> tuple[Message, int]:
        """The message that a check, or a verdict, does not let pass; and the places in use."""
        was_unknown = any(one.given_up and one.fate in MAY_HAVE_ARRIVED for one in row.attempts)
        ends = target in ("skipped", "failed")
        if ends and was_unknown and self.on("unknown_is_not_hidden"):
            target = "uncertain"
        is_release = row.place and statement in ("claim", "begin_call", "fail_rendering")
        if is_release:
            used -= 1
        keeps = row.place and (not is_release or not self.on("place_given_back_once"))
        return self._change(row, statement, target, place=keeps), used

    # -- help

    def _ends(self, row: Message, number: int, fate: str) -> Message:
        attempts = list(row.attempts)
        if attempts[number].fate in ("flight", "unknown"):
            attempts[number] = attempts[number]._replace(fate=fate)
        return row._replace(attempts=tuple(attempts))

    def _spend(self, world: World, event: str) -> World | None:
        number = EVENTS.index(event)
        if not world.left[number]:
            return None
        left = list(world.left)
        left[number] -= 1
        return world._replace(left=tuple(left))

    def _next(self, world: World, place: int, consumer: Consumer) -> World:
        """Both consumers are alike: their order does not matter."""
        other = world.consumers[1 - place]
        return world._replace(consumers=tuple(sorted((consumer, other))))

    def _is_in_call(self, world: World, number: int) -> bool:
        return any(
            consumer.phase == "called" and any(item.message == number for item in consumer.items)
            for consumer in world.consumers
        )

    def _with_items(
        self, world: World, consumer: Consumer
    ) -> Iterator[tuple[Message, Item | None]]:
        items = {item.message: item for item in consumer.items}
        for number, message in enumerate(world.messages):
            yield message, items.get(number)


def _after(rest: tuple[Item, ...]) -> Consumer:
    return Consumer("placed", rest) if rest else Consumer()


def _with(world: World, number: int, message: Message) -> World:
    rows = list(world.messages)
    rows[number] = message
    return world._replace(messages=tuple(rows))


def _subsets(numbers: list[int]) -> Iterator[tuple[int, ...]]:
    for bits in range(1, 2 ** len(numbers)):
        yield tuple(number for place, number in enumerate(numbers) if bits >> place & 1)


def _choices(chosen: tuple[int, ...], configs: int) -> Iterator[tuple[int, ...]]:
    """All give the same config to the messages of a batch: the provider by priority."""
    for config in range(configs):
        yield (config,) * len(chosen)


def _answers(outcomes: tuple[str, ...], count: int) -> Iterator[tuple[str, ...]]:
    """A verdict for the whole call; or one refused entry among accepted ones."""
    for outcome in outcomes:
        if outcome == "all_refused":
            if count > 1:
                yield (outcome,) * count
        else:
            yield (outcome,) * count
    if count > 1 and "refused" in outcomes:
        yield ("refused", *("accepted",) * (count - 1))
        yield (*("accepted",) * (count - 1), "unknown")
