"""The statements around a call: who may begin it, and what its answer changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from delivery.domain.verdict import Verdict, VerdictKind
from delivery.store import calls, feedback, sweeps
from tests.workers.delivery.stage import NOW, Stage, org, person

FOREVER = "infinity"


@pytest.fixture
def ready(stage: Stage) -> Stage:
    stage.organization()
    stage.contact(1)
    stage.contact(2)
    return stage


def transactional(stage: Stage, contact: int = 1) -> UUID:
    return stage.message(contact, 1, on_uncertain="retry", **{"class": "transactional"})


def test_the_call_and_its_attempts_are_there_before_it(ready: Stage) -> None:
    messages = [ready.message(1), ready.message(2)]
    begun = ready.begin(ready.claim(*messages))
    assert [own.attempt for own in begun.messages] == [1, 1]
    [call] = ready.db.rows("select * from delivery.calls")
    assert (call["id"], call["message_count"], call["finished_at"]) == (begun.call_id, 2, None)
    for message in messages:
        row = ready.row(message)
        assert (row["state"], row["attempts"], row["called_at"]) == ("sending", 1, NOW)
        [attempt] = ready.attempts(message)
        assert (attempt["call_id"], attempt["finished_at"]) == (begun.call_id, None)


def suppress(stage: Stage) -> None:
    stage.db.rows("select delivery.suppress(:org, 'P1@people.example')", org=org())


def set_campaign(status: str) -> Callable[[Stage], None]:
    return lambda stage: _do(stage, f"update campaign.campaigns set status = '{status}'")


def _do(stage: Stage, sql: str) -> None:
    stage.db.execute(sql)


SECOND: dict[str, tuple[Callable[[Stage], None], str, str]] = {
    "suppressed": (suppress, "skipped", "suppressed"),
    "canceled": (set_campaign("canceled"), "skipped", "campaign_canceled"),
    "paused": (set_campaign("paused"), "deferred", "campaign_paused"),
    "do not contact": (
        lambda s: _do(s, "update crm.contacts set status = 'do_not_contact'"),
        "skipped", "do_not_contact",
    ),
    "deleted": (lambda s: _do(s, "delete from crm.contacts"), "skipped", "unknown_contact"),
    "erased": (
        lambda s: _do(s, f"select ops.erase_contact('{org()}', '{person(1)}')"),
        "skipped", "no_address",
    ),
    "organization": (
        lambda s: _do(s, "update delivery.organization_settings set marketing_paused_at = now()"),
        "deferred", "organization_paused",
    ),
    "expired": (lambda s: s.later(hours=73), "skipped", "expired"),
}  # fmt: skip


@pytest.mark.parametrize("name", SECOND)
def test_what_is_no_longer_allowed_is_not_called(name: str, ready: Stage) -> None:
    campaign = uuid4()
    ready.db.execute(
        "insert into campaign.campaigns (id, organization_id, name, type, status)"
        " values (:id, :org, 'c', 'email', 'sending')",
        id=campaign, org=org(),
    )  # fmt: skip
    message = ready.message(1, campaign_id=campaign)
    found = ready.claim(message)
    change, state, reason = SECOND[name]
    change(ready)
    begun = ready.begin(found)
    assert begun.messages == []
    assert ready.state(message) == (state, reason)
    assert ready.attempts(message) == []
    assert ready.db.rows("select * from delivery.calls") == []
    assert ready.row(message)["claimed_at"] is None


def test_a_second_check_does_not_hide_an_unknown_call(ready: Stage) -> None:
    message = transactional(ready)
    ready.settle(ready.begin(ready.claim(message)), Verdict("unknown"))
    ready.later(minutes=11)
    ready.sweep()
    found = ready.claim(message)
    suppress(ready)
    assert ready.begin(found).messages == []
    row = ready.row(message)
    assert (row["state"], row["reason"], row["finished_at"]) == ("uncertain", "suppressed", None)


def test_the_others_of_the_call_are_sent(ready: Stage) -> None:
    first, second = ready.message(1), ready.message(2)
    found = ready.claim(first, second)
    suppress(ready)
    begun = ready.begin(found)
    assert [own.claimed.id for own in begun.messages] == [second]
    [call] = ready.db.rows("select message_count from delivery.calls")
    assert call["message_count"] == 1


def test_nothing_is_called_without_permission_of_the_mode(ready: Stage) -> None:
    message = ready.message()
    found = ready.claim(message)
    assert calls.begin(ready.worker, uuid4(), None, found.claimed, False, NOW).messages == []
    assert ready.state(message) == ("deferred", "mode")


def test_an_older_claim_begins_no_call(ready: Stage) -> None:
    message = ready.message()
    stale = ready.claim(message)
    ready.later(minutes=6)
    newer = ready.claim(message)
    assert ready.begin(stale).messages == []
    assert ready.state(message)[0] == "claimed"
    assert len(ready.begin(newer).messages) == 1


@pytest.mark.parametrize("name", ["held", "released", "called"])
def test_a_message_that_has_left_the_claim_is_not_called(name: str, ready: Stage) -> None:
    message = ready.message()
    found = ready.claim(message)
    if name == "held":
        sweeps.hold_dead(ready.worker, [message])
    elif name == "released":
        ready.later(minutes=6)
        ready.sweep()
    else:
        ready.begin(found)
    before = ready.row(message)
    assert ready.begin(found).messages == []
    assert ready.row(message) == before


VERDICTS: dict[VerdictKind, tuple[str, str | None]] = {
    "accepted": ("sent", None),
    "refused": ("failed", "x"),
    "suppress": ("skipped", "x"),
    "defer": ("deferred", "x"),
    "retry": ("deferred", "x"),
    "pause": ("pending", "x"),
    "unknown": ("uncertain", "x"),
}


@pytest.mark.parametrize("kind", VERDICTS)
def test_a_verdict_has_its_effect(kind: VerdictKind, ready: Stage) -> None:
    message = ready.message()
    begun = ready.begin(ready.claim(message))
    verdict = Verdict(kind, "x", suppression="invalid" if kind == "suppress" else None)
    state, _ = VERDICTS[kind]
    assert ready.settle(begun, verdict) == {message: state}
    assert ready.state(message) == VERDICTS[kind]
    [attempt] = ready.attempts(message)
    assert (attempt["verdict"], attempt["code"], attempt["finished_at"]) == (kind, "x", NOW)
    row = ready.row(message)
    assert (row["finished_at"] is not None) == (state in ("sent", "failed", "skipped"))
    assert (row["claimed_at"] is None) == (kind in ("retry", "defer", "pause"))
    suppressions = ready.db.rows("select reason, address from delivery.suppressions")
    wanted = [{"reason": "invalid", "address": "p1@people.example"}]
    assert suppressions == (wanted if kind == "suppress" else [])
    assert len(ready.db.rows("select * from analytics.contact_activity")) == (kind == "accepted")


@pytest.mark.parametrize(
    ("verdict", "delays_s"),
    [
        (Verdict("defer"), [60, 120, 240, 480]),
        (Verdict("defer", until=NOW + timedelta(hours=5)), [18_000]),
        (Verdict("retry"), [5, 10, 20]),
    ],
)
def test_the_next_try_waits_longer(verdict: Verdict, delays_s: list[int], ready: Stage) -> None:
    message = ready.message()
    for delay_s in delays_s:
        ready.settle(ready.begin(ready.claim(message)), verdict)
        due = ready.row(message)["not_before"]
        assert due - ready.outside.now == timedelta(seconds=delay_s)
        assert ready.claim(message).claimed == []
        ready.outside.now = due


def test_the_fourth_retry_is_held(ready: Stage) -> None:
    message = ready.message()
    for _ in range(3):
        ready.settle(ready.begin(ready.claim(message)), Verdict("retry"))
        assert ready.state(message)[0] == "deferred"
        ready.later(minutes=1)
    assert ready.settle(ready.begin(ready.claim(message)), Verdict("retry")) == {message: "held"}
    assert ready.claim(message).claimed == []


@pytest.mark.parametrize("kind", VERDICTS)
def test_a_repeated_statement_changes_nothing(kind: VerdictKind, ready: Stage) -> None:
    message = ready.message()
    begun = ready.begin(ready.claim(message))
    ready.settle(begun, Verdict(kind))
    before = ready.row(message)
    ready.later(seconds=1)
    assert ready.settle(begun, Verdict(kind)) == {}
    assert ready.row(message) == before


def test_a_repeated_statement_does_not_touch_the_next_call(ready: Stage) -> None:
    message = ready.message()
    begun = ready.begin(ready.claim(message))
    ready.settle(begun, Verdict("defer"))
    ready.later(minutes=2)
    ready.begin(ready.claim(message))
    ready.settle(begun, Verdict("defer"))
    assert ready.state(message)[0] == "sending"


def test_a_late_verdict_ends_the_doubt(ready: Stage) -> None:
    refused, accepted, deferred = (ready.message(n) for n in (1, 2, 1))
    begun = [ready.begin(ready.claim(own)) for own in (refused, accepted, deferred)]
    ready.later(minutes=3)
    assert ready.sweep() == {"sweep_sending": 3}
    assert ready.state(refused) == ("uncertain", "no_verdict")
    ready.settle(begun[0], Verdict("refused"))
    ready.settle(begun[1], Verdict("accepted"))
    ready.settle(begun[2], Verdict("defer"))
    states = [ready.state(own)[0] for own in (refused, accepted, deferred)]
    assert states == ["failed", "sent", "deferred"]


def test_a_late_verdict_of_an_older_claim_only_closes_its_attempt(ready: Stage) -> None:
    message = transactional(ready)
    old = ready.begin(ready.claim(message))
    ready.later(minutes=15)
    ready.sweep()  # uncertain, then pending: ten minutes have passed
    ready.sweep()
    assert ready.state(message)[0] == "pending"
    ready.begin(ready.claim(message))
    ready.settle(old, Verdict("defer"))
    assert ready.state(message)[0] == "sending"
    first, second = ready.attempts(message)
    assert (first["verdict"], second["verdict"]) == ("defer", None)


def test_accepted_counts_from_any_state(ready: Stage) -> None:
    message = transactional(ready)
    old = ready.begin(ready.claim(message))
    ready.later(minutes=15)
    ready.sweep()
    ready.sweep()
    ready.claim(message)
    ready.settle(old, Verdict("accepted", provider_message_id="p-1"))
    row = ready.row(message)
    assert (row["state"], row["provider_message_id"]) == ("sent", "p-1")
    assert ready.claim(message).claimed == []


def test_a_late_verdict_changes_no_final_message(ready: Stage) -> None:
    lost, proved = ready.message(1), ready.message(2)
    begun = [ready.begin(ready.claim(own)) for own in (lost, proved)]
    assert feedback.record_evidence(ready.worker, [(org(), proved)], NOW)
    ready.later(hours=49)
    ready.sweep()
    ready.sweep()
    assert ready.row(lost)["finished_at"] is not None
    for own in begun:
        ready.settle(own, Verdict("defer"))
    assert (ready.state(lost)[0], ready.state(proved)[0]) == ("uncertain", "sent")


@pytest.mark.parametrize("kind", ["refused", "suppress"])
def test_what_follows_an_unknown_call_does_not_hide_it(kind: VerdictKind, ready: Stage) -> None:
    message = transactional(ready)
    ready.settle(ready.begin(ready.claim(message)), Verdict("unknown"))
    ready.later(minutes=11)
    ready.sweep()
    ready.settle(ready.begin(ready.claim(message)), Verdict(kind))
    row = ready.row(message)
    assert (row["state"], row["finished_at"], row["possible_duplicate"]) == (
        "uncertain",
        None,
        True,
    )


def test_a_template_that_fails_does_not_hide_an_unknown_call(ready: Stage) -> None:
    new, called = ready.message(2), transactional(ready)
    ready.settle(ready.begin(ready.claim(called)), Verdict("unknown"))
    ready.later(minutes=11)
    ready.sweep()
    found = ready.claim(new, called)
    calls.fail_rendering(
        ready.worker, [(own, "template") for own in found.claimed], ready.outside.now
    )
    assert ready.state(new) == ("failed", "template")
    assert ready.state(called) == ("uncertain", "template")


def test_the_refusal_of_a_call_is_the_refusal_of_none(ready: Stage) -> None:
    first, second = ready.message(1), ready.message(2)
    begun = ready.begin(ready.claim(first, second))
    states = ready.settle(begun, Verdict("refused"), Verdict("refused"))
    assert states == {first: "claimed", second: "claimed"}
    assert ready.row(first)["lease_until"] == NOW + timedelta(minutes=5)
    assert [own["verdict"] for own in ready.attempts(first)] == ["refused"]


def test_one_refused_entry_is_that_entry_alone(ready: Stage) -> None:
    first, second = ready.message(1), ready.message(2)
    begun = ready.begin(ready.claim(first, second))
    by_id = {own.claimed.id: own for own in begun.messages}
    verdicts = [Verdict("refused" if own == first else "accepted") for own in by_id]
    ready.settle(begun, *verdicts)
    assert (ready.state(first)[0], ready.state(second)[0]) == ("failed", "sent")


def config_row(stage: Stage) -> tuple[int, datetime | str | None, str | None]:
    [row] = stage.db.rows(
        "select failures, paused_reason, paused_until = 'infinity' as endless,"
        " case when isfinite(paused_until) then paused_until end as until"
        " from delivery.provider_configs"
    )
    return row["failures"], FOREVER if row["endless"] else row["until"], row["paused_reason"]


def call_with(stage: Stage, config: UUID, verdict: Verdict) -> None:
    begun = stage.begin(stage.claim(stage.message()), config)
    stage.settle(begun, verdict)


def test_five_calls_without_an_answer_pause_the_config(ready: Stage) -> None:
    config = ready.config()
    for number in range(1, 5):
        call_with(ready, config, Verdict("unknown" if number % 2 else "retry"))
        assert config_row(ready) == (number, None, None)
    call_with(ready, config, Verdict("unknown"))
    assert config_row(ready) == (5, NOW + timedelta(seconds=30), "failures")
    assert ready.claim(ready.message(2)).claimed == []
    ready.later(seconds=31)
    call_with(ready, config, Verdict("unknown"))
    assert config_row(ready)[:2] == (6, ready.outside.now.astimezone(UTC) + timedelta(minutes=1))
    ready.later(minutes=2)
    call_with(ready, config, Verdict("accepted"))
    assert config_row(ready)[0] == 0


def test_a_pause_with_an_end_does_not_replace_one_without(ready: Stage) -> None:
    """Another call of the same time meets a quota: the credentials stay refused."""
    config = ready.config()
    calls = [ready.begin(ready.claim(ready.message(number)), config) for number in (1, 2)]
    ready.settle(calls[0], Verdict("pause", "401"))
    ready.settle(calls[1], Verdict("pause", "daily_quota", until=NOW + timedelta(hours=1)))
    assert config_row(ready) == (0, FOREVER, "401")


@pytest.mark.parametrize("until", [None, NOW + timedelta(hours=13)])
def test_a_refused_account_pauses_its_config(until: datetime | None, ready: Stage) -> None:
    config = ready.config(priority=2)
    other = ready.config(priority=1)
    message = ready.message()
    begun = ready.begin(ready.claim(message), config)
    ready.settle(begun, Verdict("pause", "401", until=until))
    [row] = ready.db.rows(
        "select paused_reason, cast(paused_until as text) as until"
        " from delivery.provider_configs where id = :id",
        id=config,
    )
    assert row["paused_reason"] == "401"
    assert row["until"].startswith("infinity" if until is None else "2026-03-11 00:00:05")
    [own] = ready.claim(message).claimed
    assert own.decision.config_id == other


def test_an_event_is_written_once_for_a_message(ready: Stage) -> None:
    message = ready.message()
    begun = ready.begin(ready.claim(message))
    feedback.record_evidence(ready.worker, [(org(), message)], NOW)
    ready.settle(begun, Verdict("accepted"))
    assert len(ready.db.rows("select * from analytics.contact_activity")) == 1
    assert len(ready.db.rows("select * from delivery.delivery_events")) == 1


def test_a_gone_device_gets_no_more(ready: Stage) -> None:
    device = uuid4()
    ready.db.execute(
        "insert into delivery.device_tokens (id, organization_id, contact_id, kind, token)"
        " values (:id, :org, :contact, 'fcm', 't')",
        id=device, org=org(), contact=person(1),
    )  # fmt: skip
    message = ready.message(1, channel="push")
    begun = ready.begin(ready.claim(message, channel="push"))
    ready.settle(begun, Verdict("suppress", "404", suppression="device_gone"))
    [row] = ready.db.rows("select status from delivery.device_tokens")
    assert (row["status"], ready.state(message)[0]) == ("gone", "skipped")
    assert ready.db.rows("select * from delivery.suppressions") == []
    [activity] = ready.db.rows("select * from analytics.contact_activity")
    assert (activity["event_type"], activity["contact_id"]) == ("push_bounced", person(1))
    assert activity["event_id"] == f"msg:{message}:bounced"


@pytest.mark.parametrize(
    ("text", "stored"),
    [("a\0b", "a\ufffdb"), ("a\ud800b", "a?b"), ("é\u4e00" * 5_000, "é\u4e00" * 250)],
)
def test_an_id_that_postgres_does_not_store_loses_no_acceptance(
    text: str, stored: str, ready: Stage
) -> None:
    """Otherwise the message is uncertain, and a transactional one is sent again."""
    message = ready.message()
    begun = ready.begin(ready.claim(message))
    ready.settle(begun, Verdict("accepted", provider_message_id=text))
    row = ready.row(message)
    assert (row["state"], row["provider_message_id"]) == ("sent", stored)
