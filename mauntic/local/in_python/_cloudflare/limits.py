"""The platform's limit of CPU time: a signal whose handler raises."""

import signal
from types import FrameType


class CpuLimitExceeded(BaseException):
    """The invocation has used up its CPU time."""


def install() -> None:
    """Raise CpuLimitExceeded when the platform sends SIGXCPU, as production's runtime does."""
    signal.signal(signal.SIGXCPU, _raise)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise CpuLimitExceeded("the CPU time limit was exceeded")
