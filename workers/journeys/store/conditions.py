"""The answers of condition steps: their criteria on the contacts of a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from journeys.domain.execution import Execution
from journeys.domain.graph import Graph, Step
from journeys.domain.parse import Catalog, NotUnderstood, parse
from journeys.store.criteria_sql import compile_criteria
from journeys.store.segments import catalog_of
from shared.ports import Database

Verdicts = Mapping[UUID, bool] | str  # by contact; a text is the reason why there are none


def judge(
    db: Database, found: Sequence[tuple[Execution, Graph]], now: datetime
) -> list[tuple[Execution, Graph]]:
    """Return executions with what the conditions of their version say, all at `now`.

    One statement for each condition of a version, and one for each organization with any.
    """
    verdicts: dict[UUID, Verdicts] = {}
    catalogs: dict[UUID, tuple[Catalog, str]] = {}
    contacts: dict[UUID, list[UUID]] = {}
    steps: dict[UUID, tuple[UUID, Step]] = {}
    for execution, graph in found:
        for step in graph.conditions:
            steps[step.id] = (execution.organization_id, step)
            contacts.setdefault(step.id, []).append(execution.contact_id)
    for organization_id, step in steps.values():
        if organization_id not in catalogs:
            catalogs[organization_id] = catalog_of(db, organization_id)
        catalog, zone = catalogs[organization_id]
        try:
            verdicts[step.id] = _verdicts(
                db, step, catalog,
                organization_id=organization_id, contact_ids=contacts[step.id], t=now, zone=zone,
            )  # fmt: skip
        except NotUnderstood as error:
            verdicts[step.id] = str(error)
    return [(_judged(execution, graph, verdicts), graph) for execution, graph in found]


def _verdicts(db: Database, step: Step, catalog: Catalog, **chosen: Any) -> dict[UUID, bool]:
    compiled = compile_criteria(parse(json.dumps(criteria_of(step)), catalog))
    rows = db.rows(compiled.statement("verdicts_of"), **compiled.parameters, **chosen)
    return {row["contact_id"]: row["matches"] for row in rows}


def criteria_of(step: Step) -> dict[str, Any]:
    """Return the criteria of a condition: a group as it is, or one condition as a group.

    >>> criteria_of(Step(UUID(int=1), "condition", "condition", {"field": "stage", "value": "x"}))
    {'operator': 'and', 'conditions': [{'field': 'stage', 'value': 'x'}]}
    """
    config = {name: value for name, value in step.config.items() if name != "type"}
    if "conditions" in config:
        return config
    return {"operator": "and", "conditions": [config]}


def _judged(execution: Execution, graph: Graph, verdicts: Mapping[UUID, Verdicts]) -> Execution:
    if not graph.conditions:
        return execution
    own: dict[UUID, bool | str] = {}
    for step in graph.conditions:
        verdict = verdicts[step.id]
        if isinstance(verdict, str):
            own[step.id] = verdict
        else:
            own[step.id] = verdict.get(execution.contact_id, False)
    return replace(execution, verdicts=own)
