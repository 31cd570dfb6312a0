"""The parts of docs/deliveries.md that follow from the states of a message and their changes."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.domain.transitions import FINAL, GUARDS, TRANSITIONS, Transition

BEGIN = "[*]"


def diagram(transitions: Sequence[Transition] = TRANSITIONS) -> str:
    """Return a mermaid diagram: an arrow for each pair of states, with the actors of all rows.

    The arrow `with a call --> sent` stands for the rows that end in `sent` from any state.
    """
    actors: dict[tuple[str, str], dict[str, None]] = {}
    for row in transitions:
        for source in row.sources or (BEGIN,):
            for target in row.targets:
                if target == "sent" and len(row.sources) > 1:
                    continue
                actors.setdefault((source, target), {}).update(dict.fromkeys(row.by))
    arrows = [
        f"    {source} --> {target}: {', '.join(names)}"
        for (source, target), names in actors.items()
        if source != target
    ]
    ends = [f"    {state} --> {BEGIN}" for state in FINAL]
    return "\n".join(["```mermaid", "stateDiagram-v2", *arrows, *ends, "```"])


def table(transitions: Sequence[Transition] = TRANSITIONS) -> str:
    """Return a table with a row for each transition."""
    rows = [
        f"| {_states(row.sources) or '(insert)'} | {_states(row.targets)} | {row.rule} |"
        f" {', '.join(row.by)} | `{row.statement}` |"
        for row in transitions
    ]
    head = "| from | to | when | by | statement |\n|---|---|---|---|---|"
    return "\n".join([head, *rows])


def guards() -> str:
    """Return the list of conditions that the model check needs."""
    rows = [f"| `{name}` | {text} |" for name, text in GUARDS.items()]
    return "\n".join(["| condition | meaning |", "|---|---|", *rows])


def _states(states: Sequence[str]) -> str:
    return ", ".join(f"`{state}`" for state in states)
