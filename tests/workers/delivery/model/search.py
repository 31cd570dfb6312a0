"""Visit every world that a scenario can reach, breadth first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tests.workers.delivery.model.machine import Machine, World


@dataclass
class Graph:
    """The worlds that were reached, and from where each was."""

    worlds: dict[World, int] = field(default_factory=dict)
    before: list[list[int]] = field(default_factory=list)

    def stuck(self) -> list[World]:
        """The worlds from which no world is reached in which every message is at rest."""
        order = list(self.worlds)
        seen = [is_at_rest(world) for world in order]
        waiting = [number for number, is_seen in enumerate(seen) if is_seen]
        while waiting:
            for number in self.before[waiting.pop()]:
                if not seen[number]:
                    seen[number] = True
                    waiting.append(number)
        return [world for world, is_seen in zip(order, seen, strict=True) if not is_seen]


def is_at_rest(world: World) -> bool:
    """Every message is final, waits for an operator, or stands where the next feeder finds it."""
    return all(row.final or row.state in ("held", "pending", "deferred") for row in world.messages)


def explore(machine: Machine) -> Graph:
    """Raises Violation, AssertionError or what else the machine raises."""
    graph = Graph()
    start = machine.scenario.start()
    graph.worlds[start] = 0
    graph.before.append([])
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        number = graph.worlds[world]
        for after in machine.steps(world):
            known = graph.worlds.get(after)
            if known is None:
                known = graph.worlds[after] = len(graph.worlds)
                graph.before.append([])
                waiting.append(after)
            graph.before[known].append(number)
    return graph
