"""How much is drawn: in `make test` little and always the same, in `make thorough` much and new.

What takes long draws from a large space: a few examples on each change find what is plainly wrong,
and the many of `make thorough` find the rest. Both make the same assertions.
"""

from __future__ import annotations

import os

import pytest

THOROUGH = os.environ.get("MAUNTIC_TESTS") == "thorough"
# For a test of minutes: `make thorough` runs it.
long = pytest.mark.skipif(not THOROUGH, reason="`make thorough` runs it")


def examples(thorough: int) -> int:
    """How many examples Hypothesis draws for a test that needs a database."""
    return thorough if THOROUGH else max(2, thorough // 4)
