"""Notices of the operations on standard error: they log, and know no terminal."""

from __future__ import annotations

import logging

from mauntic.cli.ui.output import remark, warn


class _Terminal(logging.Handler):
    """A warning with its mark; anything less as it stands."""

    def emit(self, record: logging.LogRecord) -> None:
        show = warn if record.levelno >= logging.WARNING else remark
        show(record.getMessage())


def show_notices() -> None:
    """Print what the loggers below `mauntic` report, from now on. A second call changes nothing."""
    logger = logging.getLogger("mauntic")
    if not any(isinstance(handler, _Terminal) for handler in logger.handlers):
        logger.addHandler(_Terminal())
    logger.setLevel(logging.INFO)
    logger.propagate = False
