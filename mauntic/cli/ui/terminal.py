"""The consoles of the command: nothing printed on them steers the terminal but our own styles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.measure import Measurement
from rich.segment import Segment

from mauntic.project.printable import visible


class Shown:
    """Something to print whose text is made visible; rich's own control codes stay."""

    def __init__(self, content: ConsoleRenderable) -> None:
        self.content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        for segment in console.render(self.content, options):
            is_control = segment.control is not None
            yield segment if is_control else Segment(visible(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self.content)


class Visibly(RenderHook):
    """Has everything that a console prints go through `Shown`."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [Shown(one) for one in renderables]


def terminal(**options: Any) -> Console:
    """A console on which texts of others are safe."""
    console = Console(**options)
    console.push_render_hook(Visibly())
    return console
