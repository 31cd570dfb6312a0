"""The rights of the database roles: one list, from which `grants.sql` is generated.

The *workers'* role is the role of Hyperdrive; it owns nothing. The *platform's* role is for the
platform's services, which call this project's functions and write their own tables. A table that
is missing here fails `tests/test_grants.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mauntic.errors import OperatorError
from mauntic.operations.statements import SQL
from shared.ports import Database

SCHEMAS = ("analytics", "campaign", "content", "crm", "delivery", "journey", "ops", "scoring")

READ = ("select",)
SET = ("select", "insert", "update")
ALL = ("select", "insert", "update", "delete")
NOTHING: tuple[str, ...] = ()

# Tables and views. The platform's own come first in each schema.
WORKERS: Mapping[str, tuple[str, ...]] = {
    "analytics.contact_activity": ("select", "insert", "update (occurred_at, event_data)"),
    "analytics.booking_turns": ALL,
    "analytics.campaign_daily_stats": SET,
    "analytics.changed_hours": ("select", "update", "delete"),
    "analytics.daily_aggregates": NOTHING,
    "analytics.event_aggregates": SET,
    "analytics.hourly_cells": ALL,
    "analytics.hourly_work": ALL,
    "analytics.locked_days": ALL,
    "analytics.partial_counts": ALL,
    "campaign.campaigns": ("select", "update"),
    "content.templates": READ,
    "crm.companies": READ,
    "crm.contact_changes": ALL,
    "crm.contact_companies": READ,
    "crm.contact_tags": READ,
    "crm.contacts": ("select", "update (status)"),
    "crm.expanded_changes": ALL,
    "crm.fields": READ,
    "crm.segment_backlog": ALL,
    "crm.segment_changes": ALL,
    "crm.segment_contacts": ALL,
    "crm.segment_dependencies": ALL,
    "crm.segment_recheck": ALL,
    "crm.segments": ("select", "update"),
    "crm.tags": READ,
    "delivery.attempts": ALL,
    "delivery.calls": ALL,
    "delivery.config_alerts": ALL,
    "delivery.deleted_contacts": ("select", "update", "delete"),
    "delivery.delivery_events": ALL,
    "delivery.delivery_jobs": SET,
    "delivery.device_tokens": ("select", "update"),
    "delivery.feeders": ("select", "update"),
    "delivery.message_status": NOTHING,
    "delivery.messages": ALL,
    "delivery.organization_settings": (
        "select",
        "insert",
        "update (marketing_paused_at, marketing_paused_reason)",
    ),
    "delivery.platform_outbox": ALL,
    "delivery.progress": ("select", "update"),
    "delivery.provider_configs": ("select", "update"),
    "delivery.recipients": SET,
    "delivery.sending_domains": READ,
    "delivery.suppressions": ("select", "insert"),
    "delivery.unmatched_events": ALL,
    "journey.entrants": ("select", "update"),
    "journey.execution_logs": ALL,
    "journey.execution_state": NOTHING,
    "journey.journey_executions": ("select", "update"),
    "journey.journey_step_connections": READ,
    "journey.journey_steps": READ,
    "journey.journey_triggers": READ,
    "journey.journey_versions": NOTHING,
    "journey.journeys": READ,
    "journey.outbox": ALL,
    "journey.pending_events": ALL,
    "journey.step_executions": ALL,
    "journey.trigger_entries": SET,
    "journey.trigger_progress": SET,
    "journey.waits": ("select", "insert", "delete"),
    "ops.dead_letters": ALL,
    "ops.job_runs": ALL,
    "ops.message_failures": ALL,
    "ops.parts": ALL,
    "ops.retention": READ,
    "ops.schedules": SET,
    "ops.turns": SET,
    "scoring.alert_requests": ("select", "update", "delete"),
    "scoring.factors": READ,
    "scoring.intent_signals": READ,
    "scoring.lead_scores": ALL,
    "scoring.recompute_backlog": ALL,
    "scoring.score_history": ALL,
    "scoring.scoring_configs": READ,
    "scoring.signal_alerts": ALL,
    "scoring.signal_configs": READ,
    "scoring.threshold_outbox": ALL,
}
WORKERS_SEQUENCES = ("crm.backlog_version", "scoring.backlog_version")

PLATFORM: Mapping[str, tuple[str, ...]] = {
    "analytics.campaign_daily_stats": READ,
    "analytics.daily_aggregates": READ,
    "analytics.event_aggregates": READ,
    "delivery.delivery_events": READ,
    "delivery.delivery_jobs": READ,
    "delivery.device_tokens": ALL,
    "delivery.message_status": READ,
    "delivery.organization_settings": ALL,
    "delivery.provider_configs": ALL,
    "delivery.suppressions": READ,
    "journey.execution_logs": READ,
    "journey.execution_state": READ,
    "journey.journey_step_connections": ALL,
    "journey.journey_steps": ALL,
    "journey.journey_triggers": ALL,
    "journey.journey_versions": ALL,
    "journey.journeys": ALL,
    "journey.step_executions": READ,
    "journey.trigger_entries": READ,
    "scoring.factors": READ,
    "scoring.intent_signals": ALL,
    "scoring.lead_scores": READ,
    "scoring.score_history": READ,
    "scoring.scoring_configs": ALL,
    "scoring.signal_alerts": ("select", "update"),
    "scoring.signal_configs": ALL,
}
_SUPPRESS = "delivery.suppress(uuid, text, text, text, text, text, timestamptz, uuid)"
# They run with their owner's rights, so only these roles may call them.
_ENTER = "journey.enter(uuid, uuid, uuid[], text[], boolean, timestamptz, timestamptz)"
WORKERS_FUNCTIONS = (_SUPPRESS, _ENTER)
PLATFORM_FUNCTIONS = (
    "crm.request_evaluation(uuid[], uuid[])",
    "delivery.enqueue(uuid, text, text, uuid, text, uuid, jsonb, jsonb, text, uuid, timestamptz,"
    " timestamptz, text, uuid)",
    _SUPPRESS,
    "delivery.unsuppress(uuid, text, text, text, text)",
    "journey.enroll(uuid, uuid, uuid[], text)",
    "ops.erase_contact(uuid, uuid, text)",
    "ops.purged_before(date, uuid)",
    "scoring.open_alert(uuid, uuid, text, text, timestamptz)",
    "scoring.request_recompute(uuid[], uuid[], text)",
)


@dataclass(frozen=True)
class Roles:
    """The names of the two roles."""

    workers: str = "mauntic_workers"
    platform: str = "mauntic_platform"

    def __post_init__(self) -> None:
        for name in (self.workers, self.platform):
            if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
                raise OperatorError(f"{name!r} is not a valid role name: use a-z, 0-9 and _.")
        if self.workers == self.platform:
            raise OperatorError("The workers and the platform need two different roles.")


def statements(roles: Roles) -> Iterator[str]:
    """Yield the statements that create the roles and grant exactly these rights.

    They can be repeated: rights that are no longer listed are revoked.
    """
    schemas = ", ".join(SCHEMAS)
    for name in (roles.workers, roles.platform):
        yield _create(name, "login" if name == roles.workers else "nologin")
        for objects in ("tables", "sequences", "functions"):
            yield f"revoke all on all {objects} in schema {schemas} from {_quote(name)}"
        yield f"grant usage on schema {schemas} to {_quote(name)}"
    yield from _table_rights(WORKERS, roles.workers)
    for sequence in WORKERS_SEQUENCES:
        yield f"grant usage on sequence {sequence} to {_quote(roles.workers)}"
    yield from _table_rights(PLATFORM, roles.platform)
    functions = ", ".join(PLATFORM_FUNCTIONS)
    yield f"revoke execute on function {functions}, {_ENTER} from public"
    yield f"grant execute on function {functions} to {_quote(roles.platform)}"
    yield f"grant execute on function {', '.join(WORKERS_FUNCTIONS)} to {_quote(roles.workers)}"


def script(roles: Roles) -> str:
    """Return the statements as one transaction."""
    return "\n".join(
        ["begin;", *(f"{statement};" for statement in statements(roles)), "commit;", ""]
    )


def apply(db: Database, roles: Roles) -> None:
    """Create the roles and grant the listed rights in one transaction."""
    with db.transaction():
        for statement in statements(roles):
            db.execute(statement)


def missing(db: Database, role: str) -> list[str]:
    """Return the workers' rights that a role lacks, each as `select on table`."""
    tables = [
        (table, right, column)
        for table, rights in WORKERS.items()
        for named in rights
        for right, column in _of_columns(named)
    ]
    rows = db.rows(
        SQL["missing_rights"],
        role=role,
        tables=[table for table, _, _ in tables],
        rights=[right for _, right, _ in tables],
        columns=[column for _, _, column in tables],
        functions=list(WORKERS_FUNCTIONS),
        sequences=list(WORKERS_SEQUENCES),
        schemas=list(SCHEMAS),
    )
    return [row["lacks"] for row in rows]


def _of_columns(right: str) -> list[tuple[str, str | None]]:
    """Return the right for each column that it names; None is the whole table.

    >>> _of_columns("update (a, b)"), _of_columns("select")
    ([('update', 'a'), ('update', 'b')], [('select', None)])
    """
    verb, _, columns = right.partition(" (")
    return [(verb, name.strip(" )")) for name in columns.split(",")] if columns else [(verb, None)]


def _create(name: str, login: str) -> str:
    return (
        f"do $$ begin if not exists (select from pg_catalog.pg_roles where rolname = '{name}')"
        f" then create role {_quote(name)} {login}; end if; end $$"
    )


def _table_rights(rights: Mapping[str, tuple[str, ...]], role: str) -> Iterator[str]:
    """Yield one statement per set of rights."""
    for verbs in dict.fromkeys(rights.values()):
        tables = [table for table, its in rights.items() if its == verbs]
        if verbs:
            yield f"grant {', '.join(verbs)} on {', '.join(tables)} to {_quote(role)}"


def _quote(name: str) -> str:
    return f'"{name}"'
