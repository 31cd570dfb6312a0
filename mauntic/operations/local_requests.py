"""The workers that answer requests, in `mauntic dev`: their addresses on this machine, and keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mauntic.local.control_client import HOME, Front, LocalRuntime
from mauntic.operations.generated_keys import generate, read_keys
from mauntic.operations.worker_catalog import web_workers
from mauntic.project.private_files import make_home
from shared.bindings import Secret

KEYS = "keys.env"


def fronts_of(envs: Sequence[str] | None, control_port: int) -> list[Front]:
    """Return the address of each worker that runs: the ports after that of the control API, so that
    a link in a captured message works after the next start; free ones if that has a free one.
    """
    chosen = [worker for worker in web_workers() if not envs or worker.env in envs]
    return [
        Front(worker.env, worker.address, control_port and control_port + place)
        for place, worker in enumerate(chosen, 1)
    ]


def local_keys() -> dict[str, str]:
    """Return the generated keys of this machine, made at the first start."""
    make_home(HOME)
    keys = read_keys(HOME / KEYS)
    for name in _generated():
        if name not in keys:
            generate(name, keys, HOME / KEYS)
    return keys


def settings_of(runtime: LocalRuntime) -> dict[str, str]:
    """Return what other commands need to address these workers: addresses and keys."""
    names = {front.variable: runtime.addresses[front.env] for front in runtime.fronts}
    keys = {name: runtime.variables[name] for name in _generated() if name in runtime.variables}
    given = {name: runtime.variables[name] for name in names if name in runtime.variables}
    return {**keys, **names, **given}


def _generated() -> Iterator[str]:
    for worker in web_workers():
        for binding in worker.all_bindings:
            if isinstance(binding, Secret) and binding.is_generated:
                yield binding.name
