"""Print the log notices of operations on standard error."""

from __future__ import annotations

import logging

from mauntic.cli.ui.output import remark, warn


class _Terminal(logging.Handler):
    """Prints warnings with a mark and other notices plainly."""

    def emit(self, record: logging.LogRecord) -> None:
        show = warn if record.levelno >= logging.WARNING else remark
        show(record.getMessage())


def show_notices() -> None:
    """Print the records of the loggers below `mauntic`. Idempotent."""
    logger = logging.getLogger("mauntic")
    if not any(isinstance(handler, _Terminal) for handler in logger.handlers):
        logger.addHandler(_Terminal())
    logger.setLevel(logging.INFO)
    logger.propagate = False
