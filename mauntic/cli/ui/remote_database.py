"""A database on another machine is somebody's: what is for this one asks before it touches it."""

from __future__ import annotations

from collections.abc import Mapping

from mauntic.cli.ui.options import confirm
from mauntic.database.url import DatabaseUrl, own_database


def confirm_elsewhere(environment: Mapping[str, str], what: str, *, yes: bool) -> None:
    """Ask where DATABASE_URL names a database that is not on this machine. It may have been
    exported for a deployment, and forgotten."""
    given = environment.get("DATABASE_URL")
    if not given or own_database(given):
        return
    to = DatabaseUrl.parse(given)
    if not to.is_local:
        confirm(f"DATABASE_URL names {to.address}, on another machine: {what}?", yes=yes)
