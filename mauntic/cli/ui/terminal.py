"""Consoles on which foreign text cannot control the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.measure import Measurement
from rich.segment import Segment

from mauntic.project.printable import visible


class Shown:
    """Wraps a renderable: escapes control characters of its text, keeps Rich's own codes."""

    def __init__(self, content: ConsoleRenderable) -> None:
        self.content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        for segment in console.render(self.content, options):
            is_control = segment.control is not None
            yield segment if is_control else Segment(visible(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self.content)


class Visibly(RenderHook):
    """Wraps everything that a console prints in `Shown`."""

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        return [Shown(item) for item in renderables]


def terminal(**options: Any) -> Console:
    """Return a console on which foreign text is safe."""
    console = Console(**options)
    console.push_render_hook(Visibly())
    return console
