"""A second account of this machine, for tests of ownership."""

import os
import pwd
import subprocess
import sys

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can act as another account")
# Not `nobody`, because the embedded server may run under that account.
STRANGER = pwd.getpwnam("daemon")
# The second account may not be able to read Python's files, so everything is imported before.
BECOME = f"""
import http.client, os, pathlib, socket, sys, time, urllib.error, urllib.request
"x".encode("idna")
os.setgroups([])
os.setgid({STRANGER.pw_gid})
os.setuid({STRANGER.pw_uid})
"""


def as_stranger(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python program under the second account."""
    return subprocess.run(
        [sys.executable, "-IS", "-c", BECOME + program, *arguments],
        cwd="/", env={}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
