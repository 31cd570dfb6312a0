"""A new figure of the daily reports is one entry of the declaration, and its column."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

from analytics.domain.campaign_figures import FIGURES, Figure
from analytics.store import figures
from mauntic.docs_gen import campaign_figures
from shared.sql.blocks import SqlBlocks
from shared.windows import Window
from tests.workers.analytics.history import DAY, History

CAMPAIGN = UUID(int=70)
SQL_FOLDER = Path(figures.__file__).parents[1] / "sql"
REPLIED = (Figure("replied", "email_replied"), Figure("unique_replied", "email_replied", True))


def test_a_declared_figure_is_counted_and_set(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "sql"
    shutil.copytree(SQL_FOLDER, folder)
    for name, text in campaign_figures.parts((*FIGURES, *REPLIED)).items():
        (folder / "parts" / name).write_text(text, encoding="utf-8")
    history = History(database)
    day = Window(DAY, DAY + timedelta(days=1))
    with closing(history.db), patch.object(figures, "SQL", SqlBlocks(folder)):
        for column in ("replied", "unique_replied"):
            history.db.execute(
                "alter table analytics.campaign_daily_stats"
                f" add column {column} integer not null default 0"
            )
        for contact, kind in ((1, "replied"), (1, "replied"), (2, "replied"), (1, "sent")):
            history.add(1, contact, f"email_{kind}", str(CAMPAIGN), DAY + timedelta(hours=9))
        for _ in range(2):
            with history.db.transaction():
                figures.report_days(history.db, day, day)
        [row] = history.db.rows("select * from analytics.campaign_daily_stats")
    assert (row["replied"], row["unique_replied"], row["sent"], row["opened"]) == (3, 2, 1, 0)


def test_the_declared_columns_are_those_of_the_table(database: str) -> None:
    history = History(database)
    with closing(history.db):
        rows = history.db.rows(
            "select column_name::text as name from information_schema.columns"
            " where table_schema = 'analytics' and table_name = 'campaign_daily_stats'"
        )
    others = {"id", "campaign_id", "organization_id", "date", "updated_at", "created_at"}
    assert {row["name"] for row in rows} - others == {figure.column for figure in FIGURES}
