"""Mutants that no test can notice, each with the reason: they do not count.

A line is named by its text before and after the change, so that the list survives edits elsewhere.
"""

from __future__ import annotations

from tests.mutants.mutant import Mutant

# (file, line before, line after): reason
EQUIVALENT: dict[tuple[str, str, str], str] = {}


def reason(mutant: Mutant) -> str | None:
    """Why no test can notice the mutant; None where one should."""
    return EQUIVALENT.get((mutant.path, mutant.before, mutant.after))
