"""Insert the messages that the platform sends in whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from delivery.store.statements import SQL
from shared.ports import Database


def insert(db: Database, messages: Sequence[dict[str, Any]], now: datetime) -> int:
    """Insert messages, plain JSON values by column; return how many keys were new."""
    rows = db.rows(SQL["insert_messages"], messages=json.dumps(messages), now=now)
    return len(rows)
