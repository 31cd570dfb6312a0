"""The state of deliveries by organization: open messages, providers, pauses, suppressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mauntic.operations.required import require_row
from mauntic.operations.statements import SQL
from shared.ports import Database, Row


@dataclass(frozen=True)
class DeliveryState:
    """Open messages by organization, channel and state; provider configs; paused organizations."""

    messages: list[Row]
    providers: list[Row]
    paused: list[Row]


def delivery_state(db: Database, organization: UUID | None, now: datetime) -> DeliveryState:
    """Return the state of one organization, or of all."""
    key = {"organization_id": organization}
    return DeliveryState(
        db.rows(SQL["open_messages"], **key),
        db.rows(SQL["provider_states"], **key, now=now),
        db.rows(SQL["paused_organizations"], **key),
    )


def resume_config(db: Database, config: UUID) -> Row | None:
    """End the pause of a provider config. Return the config; None if it was not paused."""
    require_row(
        db.rows(SQL["config_exists"], id=config), "provider config", config, "delivery status"
    )
    rows = db.rows(SQL["resume_config"], id=config)
    return rows[0] if rows else None


def resume_organization(db: Database, organization: UUID) -> bool:
    """End the pause of an organization's marketing; return False if it was not paused."""
    return bool(db.rows(SQL["resume_organization"], organization_id=organization))


@dataclass(frozen=True)
class Compared:
    """Messages of an organization and channel in a period, and how another sender's log names them:
    by their key, or by their address."""

    organization: UUID
    channel: str
    by_key: bool
    since: datetime
    until: datetime


def compare_sent(db: Database, compared: Compared, values: Sequence[str]) -> list[Row]:
    """Count what another sender has sent, and what was captured, sent or skipped here."""
    return db.rows(
        SQL["compare_sent"],
        organization_id=compared.organization,
        channel=compared.channel,
        by_key=compared.by_key,
        since=compared.since,
        until=compared.until,
        values=list(values),
    )


def add_suppressions(
    db: Database, organization: UUID, channel: str, addresses: Sequence[str], scope: str, by: str
) -> int:
    """Suppress the addresses in one transaction; return how many there are."""
    with db.transaction():
        for address in addresses:
            db.rows(
                SQL["suppress"],
                organization_id=organization,
                address=address,
                channel=channel,
                reason="manual",
                scope=scope,
                source=f"mauntic: {by}",
            )
    return len(addresses)


def remove_suppressions(
    db: Database, organization: UUID, channel: str, addresses: Sequence[str], note: str
) -> int:
    """Remove every suppression of the addresses in one transaction; return how many there were."""
    removed = 0
    with db.transaction():
        for address in addresses:
            [row] = db.rows(
                SQL["unsuppress"],
                organization_id=organization,
                address=address,
                channel=channel,
                note=note,
                scope=None,
            )
            removed += row["removed"]
    return removed
