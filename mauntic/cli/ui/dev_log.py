"""Print the runtime's events for people: time, worker, event, then its fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from mauntic.cli.ui.output import console, print_json_line

STYLES = {"info": "", "warning": "yellow", "warn": "yellow", "error": "bold red"}
# Fields that the start of the line shows.
SHOWN_BEFORE = {"event", "level", "worker"}


class DevLog:
    """Prints the events of the runtime and of `mauntic dev`."""

    def __init__(self, *, as_json: bool, to: Console = console) -> None:
        self.as_json = as_json
        self.to = to

    def show(self, event: dict[str, Any]) -> None:
        """Print an event of the runtime: a worker's log line or an event of the server."""
        match event.get("event"):
            case "log":
                self._line(event.get("worker"), event.get("level", "info"), event["text"])
            case "reloaded":
                self._show_reload(event["workers"])
            case _:
                level = "error" if event.get("event") == "error" else "info"
                fields = {k: v for k, v in event.items() if k != "event" and v is not None}
                self.say(str(event.get("event")), level=level, **fields)

    def say(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Print an event of `mauntic dev` itself."""
        self._print("dev", level, event, fields)

    def _line(self, worker: str | None, level: str, text: str) -> None:
        try:
            fields = json.loads(text)
            event, level = str(fields["event"]), str(fields.get("level", level))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            event, fields = text, {}
        self._print(worker or "runtime", level, event, fields)

    def _show_reload(self, workers: dict[str, dict[str, Any]]) -> None:
        for worker, outcome in workers.items():
            if outcome.get("error"):
                problem = outcome.get("traceback") or outcome["error"]
                self._print(worker, "error", "reload.failed", {"traceback": problem})
            else:
                self._print(worker, "info", "reload.done", {"boot_ms": outcome.get("bootMs")})

    def _print(self, worker: str, level: str, event: str, fields: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        if self.as_json:
            print_json_line({"at": now, "worker": worker, "level": level, "event": event, **fields})
            return
        traceback = fields.get("traceback")
        shown = {k: v for k, v in fields.items() if k not in SHOWN_BEFORE and k != "traceback"}
        details = " ".join(f"{name}={_brief(value)}" for name, value in shown.items())
        line = Text(f"{now:%H:%M:%S} ", style="dim")
        line.append(f"{worker:<24} ", style="cyan")
        line.append(event, style=STYLES.get(level, "")).append(f"  {details}", style="dim")
        self.to.print(line, soft_wrap=True)
        if traceback:
            self.to.print(Text(str(traceback).rstrip(), style="red"), soft_wrap=True)


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    is_plain = bool(text) and text.isprintable() and " " not in text
    return json.dumps(text) if isinstance(value, str) and not is_plain else text
