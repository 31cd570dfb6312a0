"""The statements that change a state are those that the table of transitions names."""

from __future__ import annotations

import re

from delivery.domain.transitions import TRANSITIONS
from delivery.store.statements import SQL

# They set the state of a message, in an update or an insert.
CHANGES = re.compile(
    r"update delivery\.messages(?: as \w+)? set\b(?:(?!\bwhere\b|\bfrom\b).)*?\bstate = "
    r"|insert into delivery\.messages",
    re.DOTALL,
)
# Statements of the table that change something other than the state.
KEEPS = {"sweep_resumed"}
# A claim writes its decisions in a statement of its own; a captured message ends in shadow mode.
PARTS = {"write_claims": "claim", "insert_devices": "insert_messages", "finish_captured": "claim"}


def test_no_other_statement_changes_a_state() -> None:
    found = {name for name, text in SQL.blocks.items() if CHANGES.search(text)}
    named = {row.statement for row in TRANSITIONS}
    assert {PARTS.get(name, name) for name in found} | KEEPS == named


def test_a_statement_sets_only_states_that_its_row_has() -> None:
    """The words in its text that are states of an assignment."""
    for name, text in SQL.blocks.items():
        if not CHANGES.search(text):
            continue
        rows = [row for row in TRANSITIONS if row.statement == PARTS.get(name, name)]
        allowed = {target for row in rows for target in row.targets}
        allowed |= {source for row in rows for source in row.sources}
        assigned = re.findall(r"\bstate = case(.*?)\bend\b", text, re.DOTALL)
        states = {
            word for part in assigned for word in re.findall(r"(?:then|else) '(\w+)'", part)
        } | set(re.findall(r"set\s+state = '(\w+)'", text))
        assert states <= allowed, name
