"""The number of examples: few and constant in `make test`, many and new in `make thorough`.

Long tests draw from a large space: a few examples on each change find obvious defects, and the many
of `make thorough` find the rest. Both make the same assertions.
"""

from __future__ import annotations

import os

import pytest

THOROUGH = os.environ.get("MAUNTIC_TESTS") == "thorough"
# For a test that takes minutes: `make thorough` runs it.
long = pytest.mark.skipif(not THOROUGH, reason="`make thorough` runs it")


def examples(thorough: int) -> int:
    """Return the number of examples that Hypothesis draws for a test with a database."""
    return thorough if THOROUGH else max(2, thorough // 4)
