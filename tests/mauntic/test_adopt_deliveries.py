"""The platform's tables of deliveries with dirty rows, brought to the schema of the migrations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mauntic.adopt import run
from mauntic.database.embedded.server import Server
from mauntic.errors import OperatorError
from tests.mauntic.test_adopt import DAY, OLD, Platform, target_url, uid
from tests.scratch import scratch_database

DELIVERIES = (Path(__file__).parent / "old_deliveries.sql").read_text()
ORG, OTHER = uid(1), uid(2)

__all__ = ["target_url"]


def dirty(platform: Platform) -> None:
    """Suppressions twice and in any case, counts below zero, spellings of every kind."""
    bounce = {"organization_id": ORG, "reason": "bounce"}
    platform.insert(
        "delivery.suppressions",
        bounce | {"id": uid(1), "email": "Jane@Example.org", "created_at": DAY},
        bounce | {"id": uid(2), "email": " jane@example.org ", "created_at": DAY + timedelta(1)},
        bounce | {"id": uid(3), "email": "jane@example.org", "reason": "Unsubscribe"},
        bounce | {"id": uid(4), "email": "+14155552671", "reason": "complaint"},
        bounce | {"id": uid(5), "email": "jane@example.org", "organization_id": OTHER},
    )
    job = {"organization_id": ORG, "channel": "Email", "status": "Sent", "sent_count": -3}
    platform.insert(
        "delivery.delivery_jobs",
        job | {"id": uid(11), "idempotency_key": "a"},
        job | {"id": uid(12), "idempotency_key": None, "status": None},
    )
    event = {
        "job_id": uid(11), "organization_id": ORG, "contact_id": uid(7), "channel": "EMAIL",
        "event_type": "delivered", "created_at": DAY,
    }  # fmt: skip
    platform.insert("delivery.delivery_events", event | {"id": uid(21)}, event | {"id": uid(22)})
    platform.insert(
        "delivery.provider_configs",
        {
            "id": uid(31), "organization_id": ORG, "channel": "email", "provider_type": "SES",
            "config": '"aXY=:Y2lwaGVy"', "is_active": None, "priority": None,
        },
    )  # fmt: skip
    campaign = {"organization_id": ORG, "name": "Spring", "type": "Email"}
    platform.insert(
        "campaign.campaigns",
        campaign | {"id": uid(41), "status": "cancelled", "recipient_count": 5},
        campaign | {"id": uid(42), "status": "Sending", "recipient_count": None},
    )
    segment = {"organization_id": ORG, "name": "All", "contact_count": None}
    platform.insert(
        "crm.segments",
        segment | {"id": uid(81), "type": "Static"},
        segment | {"id": uid(82), "type": "dynamic", "filter_criteria": "{}"},
    )
    member = {"segment_id": uid(81), "contact_id": uid(7)}
    platform.insert(
        "crm.segment_contacts",
        member | {"id": uid(91), "added_at": DAY},
        member | {"id": uid(92), "added_at": DAY + timedelta(1)},
        member | {"id": uid(93), "segment_id": uid(82), "added_at": None},
        member | {"id": uid(94), "segment_id": uid(83)},
    )
    platform.insert(
        "content.templates", {"id": uid(51), "organization_id": ORG, "name": "A", "type": "Email"}
    )
    execution = {
        "id": uid(61), "journey_id": uid(62), "journey_version_id": uid(63),
        "organization_id": ORG, "contact_id": uid(7), "status": "Cancelled",
    }  # fmt: skip
    platform.insert(
        "journey.journey_executions",
        execution,
        execution | {"id": uid(64), "status": "Active", "started_at": DAY},
        execution | {"id": uid(65), "status": "active", "started_at": DAY + timedelta(1)},
    )
    version = {"journey_id": uid(62), "organization_id": ORG, "definition": "{}"}
    platform.insert(
        "journey.journey_versions",
        version | {"id": uid(63), "version_number": 1, "published_at": DAY},
        version | {"id": uid(66), "version_number": 2, "published_at": None},
    )
    step = {"journey_version_id": uid(66), "organization_id": ORG, "config": "{}"}
    platform.insert("journey.journey_steps", step | {"id": uid(67), "type": "Exit"})
    link = {"from_step_id": uid(67), "to_step_id": uid(67), "label": "x"}
    platform.insert("journey.journey_step_connections", link | {"id": uid(68)}, link)
    trigger = {"journey_id": uid(62), "organization_id": ORG, "config": "{}"}
    platform.insert(
        "journey.journey_triggers", trigger | {"type": "Scheduled"}, trigger | {"type": "manual"}
    )
    platform.insert("journey.step_executions", {
        "execution_id": uid(64), "step_id": uid(67), "organization_id": ORG, "status": "Running",
    }, {
        "execution_id": uid(64), "step_id": uid(67), "organization_id": ORG, "status": "completed",
    })  # fmt: skip
    platform.insert("journey.execution_logs", {
        "execution_id": uid(64), "organization_id": ORG, "level": "Warning", "message": "m",
    })  # fmt: skip


@pytest.fixture(scope="module")
def adopted(postgres: Server, target_url: str) -> Iterator[Platform]:
    with scratch_database(postgres) as url, run.open_scene(url, target_url) as scene:
        scene.db.execute(OLD)
        scene.db.execute(DELIVERIES)
        platform = Platform(url, scene)
        dirty(platform)
        platform.adopt()
        yield platform


def test_no_step_is_left(adopted: Platform) -> None:
    assert list(run.plan(adopted.scene)) == []


def test_a_suppression_stays_once_for_each_address_and_scope(adopted: Platform) -> None:
    rows = adopted.rows(
        "select id, organization_id, channel, address, reason, scope"
        " from delivery.suppressions order by id"
    )
    assert rows == [
        (uid(1), ORG, "email", "jane@example.org", "bounce", "all"),
        (uid(3), ORG, "email", "jane@example.org", "unsubscribe", "marketing"),
        (uid(4), ORG, "sms", "+14155552671", "complaint", "all"),
        (uid(5), OTHER, "email", "jane@example.org", "bounce", "all"),
    ]
    kept = adopted.rows(
        "select content ->> 'id' from adoption.set_aside where table_name = 'delivery.suppressions'"
    )
    assert kept == [(str(uid(2)),)]


def test_jobs_and_events_keep_their_rows_with_clean_values(adopted: Platform) -> None:
    assert adopted.rows(
        "select id, channel, status, sent_count from delivery.delivery_jobs order by id"
    ) == [(uid(11), "email", "sent", 0), (uid(12), "email", "failed", 0)]
    assert adopted.rows(
        "select id, channel, event_id, occurred_at = created_at from delivery.delivery_events"
        " order by id"
    ) == [(uid(n), "email", f"adopted:{uid(n)}", True) for n in (21, 22)]


def test_a_config_keeps_its_secret_and_gets_defaults(adopted: Platform) -> None:
    assert adopted.rows(
        "select provider_type, config #>> '{}', is_active, priority, failures"
        " from delivery.provider_configs"
    ) == [("ses", "aXY=:Y2lwaGVy", True, 0, 0)]


def test_statuses_have_one_spelling(adopted: Platform) -> None:
    assert adopted.rows(
        "select type, status, run, recipient_count from campaign.campaigns order by id"
    ) == [("email", "canceled", 1, 5), ("email", "sending", 1, 0)]
    assert adopted.rows("select type from content.templates") == [("email",)]


def test_journeys_keep_their_executions_and_one_is_active_for_each_contact(
    adopted: Platform,
) -> None:
    assert adopted.rows("select id, status, seq from journey.journey_executions order by id") == [
        (uid(61), "canceled", 0), (uid(65), "active", 0),
    ]  # fmt: skip
    assert adopted.rows("select type, problem from journey.journey_triggers order by type") == [
        ("manual", None), ("scheduled", "not checked since the adoption: save the trigger again"),
    ]  # fmt: skip
    assert adopted.rows("select count(*) from journey.journey_step_connections") == [(1,)]
    assert adopted.rows("select level from journey.execution_logs") == [("warn",)]


def test_a_contact_is_once_in_each_segment_that_exists(adopted: Platform) -> None:
    assert adopted.rows(
        "select id, type, state, ready_version = criteria_version, contact_count from crm.segments"
        " order by id"
    ) == [(uid(81), "static", "ready", True, 0), (uid(82), "dynamic", "building", None, 0)]
    assert adopted.rows(
        "select id, segment_id, organization_id, added_at is not null from crm.segment_contacts"
        " order by id"
    ) == [(uid(91), uid(81), ORG, True), (uid(93), uid(82), ORG, True)]
    kept = adopted.rows(
        "select content ->> 'id' from adoption.set_aside where table_name = 'crm.segment_contacts'"
        " order by 1"
    )
    assert kept == [(str(uid(92)),), (str(uid(94)),)]


def test_what_is_adopted_is_suppressed(adopted: Platform) -> None:
    """The claim's own condition finds the address."""
    [(found,)] = adopted.rows(
        "select count(*) from delivery.suppressions where organization_id = '" + str(ORG) + "'"
        " and channel = 'email' and address = 'jane@example.org' and scope = 'all'"
    )
    assert found == 1


def test_a_channel_that_is_not_supported_blocks_the_adoption(
    postgres: Server, target_url: str
) -> None:
    """The platform also has jobs of webhooks: a person decides what becomes of them."""
    with scratch_database(postgres) as url, run.open_scene(url, target_url) as scene:
        scene.db.execute(OLD)
        scene.db.execute(DELIVERIES)
        platform = Platform(url, scene)
        platform.insert("delivery.delivery_jobs", {"organization_id": ORG, "channel": "webhook"})
        blocked = [step for step in run.plan(scene) if step.blocked]
        assert [(step.table, step.blocked) for step in blocked] == [
            ("delivery.delivery_jobs", "1 rows break it: correct them first")
        ]
        with pytest.raises(OperatorError):
            platform.adopt()
