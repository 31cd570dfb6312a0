"""Whatever started it, a command that runs long can be ended in good order."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# As a shell starts what a script has sent into the background.
LONG = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
from cli.interrupts import heed_interrupts
heed_interrupts()
try:
    print(flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("in good order")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_heeded(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, text=True) as long:
        assert long.stdout is not None
        long.stdout.readline()
        long.send_signal(number)
        assert long.stdout.read() == "in good order\n"
