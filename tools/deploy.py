"""`python -m tools.deploy [ENV …]`: check, migrate, deploy; what `make deploy` runs.

Only the id of the Hyperdrive and the domain of the worker for requests differ between accounts. The
id comes from HYPERDRIVE_ID, or from the account itself, the domain from HOOKS_BASE_URL; both are
written to a copy of wrangler.toml in the same folder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mauntic.errors import OperatorError
from mauntic.operations.provisioning import HYPERDRIVE
from mauntic.operations.vendor.answers import Hyperdrive
from mauntic.operations.vendor.api import account_and_token, open_vendor
from mauntic.operations.worker_catalog import web_workers
from mauntic.project.addresses import host_of
from mauntic.project.envs import envs, unknown_envs
from mauntic.project.printable import visible
from mauntic.project.programs import PLACES, ROOT, search_path
from tools.setup import STATE
from tools.weigh import weigh

CONFIG = ROOT / "wrangler.toml"
NO_HYPERDRIVE = "0" * 32
# A deployment does not wait for the audit service: it may be the one that fixes a vulnerability.
REMINDER = (
    "deployed. Vulnerabilities were not checked: `make audit` does this with open network access"
)
COPY = "wrangler.deploy.toml"  # in the same folder: paths in it are relative


class CannotDeploy(Exception):
    """The text is one sentence with the cause and the remedy."""


def main(names: list[str]) -> int:
    """Deploy the envs, all if none is named; nothing is deployed unless everything is in order."""
    chosen = names or envs()
    try:
        if refusal := unknown_envs(chosen):
            raise CannotDeploy(refusal)
        require(os.environ)
        domains = domains_of(chosen, os.environ)
        hyperdrive = hyperdrive_id(os.environ)
        vendor_anew()
        run("mauntic", "check", "--offline")
        for env in chosen:
            if not (weight := weigh(env)).is_light:
                raise CannotDeploy(f"{env} is too heavy ({weight.gzip_bytes:,} bytes): make weigh")
        run("mauntic", "db", "migrate")
        config = write_config(hyperdrive, domains)
        for env in chosen:
            run("wrangler", "deploy", "--env", env, "--config", str(config))
        print(REMINDER)
    except (CannotDeploy, OperatorError) as error:
        print(f"deploy: {visible(str(error))}", file=sys.stderr)
        return 1
    return 0


def require(environment: Mapping[str, str]) -> None:
    """Check the environment variables that every deployment needs."""
    names = ("CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN", "DATABASE_URL")
    absent = [name for name in names if not environment.get(name)]
    if absent:
        raise CannotDeploy(
            f"set {', '.join(absent)}: they select the account, its token and the database"
        )
    account_and_token(environment)


def domains_of(chosen: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the custom domain of each chosen worker that answers requests, by its env."""
    found = {}
    for worker in web_workers():
        if worker.env in chosen:
            host = host_of(environment.get(worker.address) or "")
            if host is None:
                raise CannotDeploy(
                    f"set {worker.address} to the public address of {worker.name}: https:// and a"
                    " host of a zone of the account, for example https://hooks.example.com"
                )
            found[worker.env] = host
    return found


def vendor_anew() -> None:
    """Install the workers' packages from the lock, even if another tool has replaced them."""
    (STATE / "worker-packages.stamp").unlink(missing_ok=True)
    run("python", "-m", "tools.setup", "--quiet")


def hyperdrive_id(environment: Mapping[str, str]) -> str:
    """Return the id in HYPERDRIVE_ID, otherwise the account's.

    The account is queried in both cases, before anything is changed, so a wrong account or an
    invalid token ends the deployment here.
    """
    with open_vendor(environment) as api:
        configs = api.ask("GET", "/hyperdrive/configs", list[Hyperdrive])
    ids = {config.name: config.id for config in configs}
    if given := environment.get("HYPERDRIVE_ID"):
        return given
    if HYPERDRIVE not in ids:
        raise CannotDeploy(f"the account has no Hyperdrive {HYPERDRIVE}: mauntic provision --apply")
    return ids[HYPERDRIVE]


def write_config(
    hyperdrive: str, domains: Mapping[str, str] | None = None, config: Path = CONFIG
) -> Path:
    """Write a copy of wrangler.toml with the account's Hyperdrive id and the domains by env."""
    if re.fullmatch(r"[0-9a-f]{32}", hyperdrive) is None:
        raise CannotDeploy(f"{hyperdrive} is no id of a Hyperdrive")
    text = config.read_text(encoding="utf-8")
    copy = config.with_name(COPY)
    for env, host in (domains or {}).items():
        table = f"[env.{env}]\n"
        route = f'routes = [{{ pattern = "{host}", custom_domain = true }}]\n'
        text = text.replace(table, table + route, 1)
    copy.write_text(text.replace(NO_HYPERDRIVE, hyperdrive), encoding="utf-8")
    return copy


def run(*command: str) -> None:
    """Print and run a command of this project."""
    print(f"$ {shlex.join(command)}", flush=True)
    program = next((place / command[0] for place in PLACES if (place / command[0]).exists()), None)
    if program is None:
        raise CannotDeploy(f"{command[0]} is not installed: make setup")
    settings = {**os.environ, "PATH": search_path()}
    done = subprocess.run([program, *command[1:]], cwd=ROOT, env=settings)
    if done.returncode != 0:
        raise CannotDeploy(f"{command[0]} ended with {done.returncode}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
