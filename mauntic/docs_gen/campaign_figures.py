"""The lists of campaign figures in the SQL of the daily reports, one included file per list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analytics.domain.campaign_figures import FIGURES, Figure

NOTE = "    -- Made by `make catalogue` from workers/analytics/domain/campaign_figures.py."


def parts(figures: Sequence[Figure] = FIGURES) -> dict[str, str]:
    """Return the text of each file below workers/analytics/sql/parts/, by its name."""
    columns = [figure.column for figure in figures]
    lists = {
        "types": _quoted(figure.event_type for figure in figures),
        "unique_types": _quoted(figure.event_type for figure in figures if figure.unique),
        "figures": [f"{_count(figure)} as {figure.column}" for figure in figures],
        "columns": columns,
        "zeros": [f"0 as {column}" for column in columns],
        "updates": [f"{column} = excluded.{column}" for column in columns],
        "known": [f"known.{column}" for column in columns],
        "excluded": [f"excluded.{column}" for column in columns],
        "sums": [
            f"sum(figures[{place}]) as {column}"
            for place, column in enumerate([*columns, "total"], 1)
        ],
    }
    return {
        f"campaign_{name}.sql": ",\n".join([f"{NOTE}\n    {values[0]}", *_indented(values[1:])])
        + "\n"
        for name, values in lists.items()
    }


def _count(figure: Figure) -> str:
    is_counted = f"filter (where event_type = '{figure.event_type}')"
    if figure.unique:
        return f"count(contact_id) {is_counted}"
    return f"coalesce(sum(count) {is_counted}, 0)"


def _quoted(types: Iterable[str]) -> list[str]:
    return [f"'{name}'" for name in dict.fromkeys(types)]


def _indented(values: Sequence[str]) -> list[str]:
    return [f"    {value}" for value in values]
