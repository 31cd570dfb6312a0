"""Keys that `mauntic provision` makes, and the private file that keeps them.

The vendor returns no secret. The file is the only place where an operator can read a generated key
again, so it is written before the key is set anywhere.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path

from mauntic.errors import OperatorError
from mauntic.operations.vendor.wrangler import Command
from mauntic.project.private_files import read_private, write_private
from mauntic.project.programs import ROOT

FOLDER = ROOT
KEY_BYTES = 32
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=([0-9a-f]+)")


def keys_file(environment: Mapping[str, str]) -> Path:
    """Return the file of an account. Git ignores it; `set -a; . ./FILE` reads it in a shell."""
    account = re.sub(r"[^0-9a-zA-Z]", "", environment.get("CLOUDFLARE_ACCOUNT_ID", ""))
    return FOLDER / f"keys-{account}.env"


def read_keys(path: Path) -> dict[str, str]:
    """Return the keys of the file; none if there is no file."""
    try:
        text = read_private(path)
    except FileNotFoundError:
        return {}
    return {match[1]: match[2] for match in map(_LINE.fullmatch, text.splitlines()) if match}


def with_kept_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment, with the account's kept keys for names that it does not have."""
    return {
        **read_keys(keys_file(environment)),
        **{name: value for name, value in environment.items() if value},
    }


def generate(name: str, environment: MutableMapping[str, str], path: Path) -> None:
    """Make a key, keep it in the file, and put it into the environment of the next commands."""
    keys = read_keys(path)
    keys.setdefault(name, secrets.token_hex(KEY_BYTES))
    write_private(path, "".join(f"{own}={key}\n" for own, key in sorted(keys.items())))
    environment[name] = keys[name]


def generation(name: str) -> Command:
    """Return the command that makes a key: this program, because no argument may contain it."""
    return Command(f"{name}, a new key", ("mauntic", "provision", "--apply"))


def to_generate(
    declared: Mapping[str, Sequence[str]],
    existing: Mapping[str, set[str]],
    environment: Mapping[str, str],
    chosen: Sequence[str],
) -> Iterator[str]:
    """Yield the names of keys to make. `declared` has the workers of each name, `existing` the
    secrets of each worker, `chosen` the workers that this command provisions.

    Raises OperatorError if a worker has the key already, or is not chosen: all need the same value.
    """
    for name, scripts in sorted(declared.items()):
        lacking = [script for script in scripts if name not in existing.get(script, set())]
        if environment.get(name) or not set(lacking) & set(chosen):
            continue
        having = [script for script in scripts if script not in lacking]
        if having:
            raise OperatorError(
                f"{' and '.join(lacking)} must have the same {name} as {' and '.join(having)}:"
                f" set {name} in the environment."
            )
        if not set(scripts) <= set(chosen):
            raise OperatorError(
                f"{' and '.join(scripts)} share {name}: provision them together, or set {name} in"
                " the environment."
            )
        yield name
