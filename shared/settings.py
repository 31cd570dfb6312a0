"""What the deployment decides: gates, alert webhook, heartbeat. All of it may be absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Gate(Enum):
    """What a gate says to a cron."""

    OPEN = "open"
    HELD = "held"
    WRONG = "wrong"


@dataclass(frozen=True)
class Settings:
    """`get` reads a secret or variable by name: text, or None where it is not set."""

    get: Callable[[str], str | None]

    def gate(self, name: str) -> Gate:
        """Unset or `true` lets the cron through, `false` holds it, anything else is a mistake.

        >>> Settings({"ENABLE_X": "False"}.get).gate("ENABLE_X")
        <Gate.HELD: 'held'>
        """
        value = self.get(name)
        value = "true" if value is None else value.strip().lower()
        return {"true": Gate.OPEN, "false": Gate.HELD}.get(value, Gate.WRONG)

    @property
    def alert_webhook_url(self) -> str | None:
        """Where alerts are posted; None posts none. A secret: never logged."""
        return self.get("ALERT_WEBHOOK_URL") or None

    @property
    def heartbeat_url(self) -> str | None:
        """What a tick asks for when it has done its work; None asks for nothing. A secret: never
        logged."""
        return self.get("HEARTBEAT_URL") or None
