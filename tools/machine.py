"""The machine that something is measured on."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """The processor's name, where the system knows it."""
    table = Path("/proc/cpuinfo")
    known = table.read_text(encoding="utf-8") if table.exists() else ""
    names = [line.partition(": ")[2] for line in known.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()
