"""The pictures: small, self-contained, of commands that ran, and shown in the README."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.pictures import PICTURES, CommandFailed, draw, final_text, fires, run_on_terminal

README = Path(__file__).resolve().parents[2] / "README.md"
DRAWN = sorted(PICTURES.glob("*.svg"))
WORDS = "{http://www.w3.org/2000/svg}text"


def words(svg: str) -> str:
    """Return the readable text of the picture."""
    lines = [element.text or "" for element in ElementTree.fromstring(svg).iter(WORDS)]
    return " ".join(lines).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("picture", DRAWN, ids=lambda path: path.stem)
def test_a_picture_is_small_and_loads_nothing(picture: Path) -> None:
    svg = picture.read_text()
    assert len(svg) < 300_000
    assert "url(http" not in svg
    assert f"docs/pictures/{picture.name}" in README.read_text()


def test_they_show_what_the_commands_say() -> None:
    demo, jobs = (words((PICTURES / f"{name}.svg").read_text()) for name in ("demo", "jobs-list"))
    assert "make demo" in demo
    assert re.search(r"all equal\s+to the files", demo)
    assert "scoring.AlertExpiry" in jobs
    assert "bucket moves today" in jobs


def test_a_command_is_drawn_with_its_colours_and_without_what_it_took_back() -> None:
    output = r"print('\x1b[31mred\x1b[0m\n50 %\r\x1b[2K\x1b[1A\x1b[2Kdone')"
    text = run_on_terminal([sys.executable, "-c", output])
    assert text == "done"
    red = draw("colours", run_on_terminal([sys.executable, "-c", r"print('\x1b[31mred\x1b[0m')"]))
    assert "colours" in words(red)
    assert re.search(r"fill: #cc555a", red), "the theme's red"


def test_a_command_that_fails_is_not_drawn() -> None:
    with pytest.raises(CommandFailed, match=r"ended with 3:\nno"):
        run_on_terminal([sys.executable, "-c", "print('no'); raise SystemExit(3)"])


def test_what_was_written_twice_in_a_line_is_there_once() -> None:
    assert final_text("1 %\r\x1b[2K2 %\r\x1b[2Kend\r\n\x1b[?25h") == "end"


def test_a_day_of_ticks_is_in_order() -> None:
    found = fires(datetime(2026, 3, 10, 12, 30, tzinfo=UTC))
    moments = [at for at, _, _ in found]
    assert moments == sorted(moments)
    hourly = [at for at, worker, cron in found if (worker.env, cron) == ("analytics", "0 * * * *")]
    assert (len(hourly), hourly[-1]) == (24, datetime(2026, 3, 10, 12, tzinfo=UTC))
