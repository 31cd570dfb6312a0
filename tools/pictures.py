"""The pictures of the README: `make pictures` runs the commands and draws their output.

Each command runs on its own terminal, because it prints colors only there. It takes some minutes.
"""

from __future__ import annotations

import io
import os
import pty
import re
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from itertools import takewhile
from operator import itemgetter
from termios import TIOCSWINSZ

from cronsim import CronSim
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from mauntic.cli.commands.demo import fire
from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.local.control_client import LocalRuntime
from mauntic.operations.worker_catalog import workers
from mauntic.project.programs import ROOT
from shared.jobs import Worker

PICTURES = ROOT / "docs" / "pictures"
MAUNTIC = str(ROOT / ".venv" / "bin" / "mauntic")
ROWS, COLUMNS = 60, 144

MOVES = re.compile(r"\x1b\[(?P<count>\d*)(?P<move>[AKlh])|\x1b\[\?25[lh]")
# Rich's drawings load their font from a server; these use an installed font.
FONTS = re.compile(r"\s*@font-face \{\{.*?\}\}", re.DOTALL)


class CommandFailed(Exception):
    """A command of a picture failed; the text is its output."""


def main(names: Sequence[str]) -> int:
    """Draw all pictures, or the named ones."""
    PICTURES.mkdir(exist_ok=True)
    drawings = {"demo": draw_demo, "jobs-list": draw_jobs_list}
    try:
        for name in names or drawings:
            path = PICTURES / f"{name}.svg"
            path.write_text(drawings[name](), encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)} ({path.stat().st_size / 1e3:.0f} kB)")
    except KeyError as error:
        print(f"pictures: there is no {error}; there are {', '.join(drawings)}", file=sys.stderr)
        return 2
    except CommandFailed as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    return 0


def draw_demo() -> str:
    """Draw the demo."""
    return draw("make demo", run_on_terminal(["make", "--no-print-directory", "demo"]))


def draw_jobs_list() -> str:
    """Draw the jobs after a day of ticks, one of them paused."""
    with temporary_server() as server, LocalRuntime(_migrated(server.url)) as runtime:
        for at, worker, cron in fires(datetime.now(UTC)):
            fire(runtime, worker, cron, at)
        system = {"DATABASE_URL": server.url}
        note = ["--note", "bucket moves today"]
        run_on_terminal([MAUNTIC, "jobs", "pause", "analytics.reset-warmup-daily", *note], system)
        return draw("mauntic jobs list", run_on_terminal([MAUNTIC, "jobs", "list"], system))


def _migrated(url: str) -> str:
    migrate(url)
    return url


def fires(now: datetime) -> list[tuple[datetime, Worker, str]]:
    """Return the planned fires of the last day, in order."""
    first = now - timedelta(days=1)
    found = [
        (at, worker, cron)
        for worker in workers()
        for cron in worker.crons
        for at in takewhile(lambda at: at <= now, CronSim(cron, first))
    ]
    return sorted(found, key=itemgetter(0))


def run_on_terminal(command: Sequence[str], settings: Mapping[str, str] | None = None) -> str:
    """Return the output of the command on a terminal, with its colors."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    quiet = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    environment = {**os.environ, **quiet, **(settings or {})}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    with suppress(OSError):  # a terminal ends like this
        while part := os.read(ours, 65_536):
            output += part
    os.close(ours)
    text = final_text(output.decode())
    if process.wait() != 0:
        raise CommandFailed(f"{' '.join(command)} ended with {process.returncode}:\n{text}")
    return text


def final_text(output: str) -> str:
    """Return the lines that remain after everything that was drawn over: bars come, move and go.

    >>> final_text("a\\r\\n50 %\\r\\x1b[2K\\x1b[1A\\x1b[2Kb\\r\\n")
    'b'
    """
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[?\d]*[AKlh]|\r|\n)", output):
        move = MOVES.fullmatch(part)
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif move and move["move"] == "A":
            row = max(0, row - int(move["count"] or 1))
        elif move and move["move"] == "K":
            lines[row] = ""
        elif part != "\r" and not move:
            lines[row] += part
    return "\n".join(lines).rstrip()


def draw(command: str, text: str) -> str:
    """Return the terminal with the command and its output, as SVG."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
    console.print(Text.from_ansi(text), no_wrap=True, overflow="crop")
    form = FONTS.sub("", CONSOLE_SVG_FORMAT)
    svg = console.export_svg(title=command, code_format=form, unique_id=command.split()[-1])
    return svg.replace("<text ", '<text xml:space="preserve" ')  # some viewers drop spaces


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
