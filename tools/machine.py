"""The machine of a measurement."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """Return the processor's name, if the system knows it."""
    table = Path("/proc/cpuinfo")
    text = table.read_text(encoding="utf-8") if table.exists() else ""
    names = [line.partition(": ")[2] for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()
