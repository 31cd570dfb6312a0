"""Mutants that no test can notice, each with the reason: they do not count.

A line is named by its text before and after the change, so that the list survives edits elsewhere.
"""

from __future__ import annotations

from tests.mutants.mutant import Mutant

SAMPLE = "from analytics.contact_activity tablesample system (cast(:percent as float8)) repeatable"

# (file, line before, line after): reason
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "shared/ledger/shards.py",
        "organization_id = own[0].organization_id",
        "organization_id = own[ -1].organization_id",
    ): "all sizes of a group are of one organization",
    (
        "shared/flow/dead_letters.py",
        "READ_TRIES = 3",
        "READ_TRIES = 2",
    ): "any number up to five is right: the test bounds it",
    (
        "shared/adapters/postgres/client.py",
        "return [dict(zip(names, row, strict=True)) for row in values]",
        "return [dict(zip(names, row, strict=False)) for row in values]",
    ): "the protocol sends a value for each column",
    (
        "workers/analytics/sql/sharding.sql",
        f"{SAMPLE} (0)",
        f"{SAMPLE} (1)",
    ): "any seed gives a sample",
    (
        "shared/tick/due.py",
        "before = hour - timedelta(seconds=1)",
        "before = hour - timedelta(seconds= 2)",
    ): "a cron fires at whole minutes",
}

# A change from the first to the second text in any line: reason
EVERYWHERE: dict[tuple[str, str], str] = {
    ("frozen=True", "frozen=False"): "nothing assigns to a field: mypy refuses it",
    (" *, ", " /, "): "no caller passes the argument by position",
}


def reason(mutant: Mutant) -> str | None:
    """Why no test can notice the mutant; None where one should."""
    for (before, after), why in EVERYWHERE.items():
        if mutant.before != mutant.after == mutant.before.replace(before, after):
            return why
    return EQUIVALENT.get((mutant.path, mutant.before, mutant.after))
