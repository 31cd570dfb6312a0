"""Wait for what the workers of the demo do."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep

from mauntic.local.control_client import RuntimeFailed

TIMEOUT_S, POLL_S = 120, 0.1


def wait_until(is_done: Callable[[], bool], failure: str) -> None:
    """Ask again and again; RuntimeFailed if it takes longer than two minutes.

    `failure` begins the sentence, as in "The campaign was not sent".
    """
    deadline = monotonic() + TIMEOUT_S
    while not is_done():
        if monotonic() > deadline:
            raise RuntimeFailed(f"{failure} within {TIMEOUT_S} seconds.")
        sleep(POLL_S)
