"""Confirmation before a local command changes a database on another machine."""

from __future__ import annotations

from collections.abc import Mapping

from mauntic.cli.ui.options import confirm
from mauntic.database.url import DatabaseUrl, own_database


def confirm_elsewhere(environment: Mapping[str, str], action: str, *, yes: bool) -> None:
    """Ask before using a DATABASE_URL on another machine.

    The variable may still be set from a deployment.
    """
    given = environment.get("DATABASE_URL")
    if not given or own_database(given):
        return
    to = DatabaseUrl.parse(given)
    if not to.is_local:
        confirm(f"DATABASE_URL names {to.address}, on another machine: {action}?", yes=yes)
