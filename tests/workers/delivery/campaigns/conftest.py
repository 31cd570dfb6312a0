"""A scene with an organization."""

from __future__ import annotations

import pytest

from tests.workers.delivery.campaigns.scene import Scene
from tests.workers.delivery.stage import Stage


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return Scene(stage)
