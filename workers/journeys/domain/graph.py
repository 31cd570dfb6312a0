"""The steps of a version and how they are connected. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Step:
    """A step. `kind` is what it does (`journey.step_kind` in Postgres); None: it is not known."""

    id: UUID
    type: str
    kind: str | None
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """The steps of a version. A connection leads from a step and a label to a step; the label may
    be empty.
    """

    steps: Mapping[UUID, Step]
    connections: Mapping[tuple[UUID, str], UUID]

    @property
    def conditions(self) -> list[Step]:
        """The steps that decide by criteria."""
        return [step for step in self.steps.values() if step.kind == "condition"]

    def after(self, step: Step, label: str | None) -> UUID | None:
        """Return the step that follows; a label without a connection takes the unlabeled one."""
        labeled = self.connections.get((step.id, label)) if label else None
        return labeled or self.connections.get((step.id, ""))
