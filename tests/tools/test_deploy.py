"""The checks before a deployment, and its copy of wrangler.toml."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mauntic.operations.provisioning import HYPERDRIVE
from tests.mauntic import vendor as vendors
from tests.mauntic.vendor import Answer, Vendor, success
from tools import deploy
from tools.deploy import NO_HYPERDRIVE, CannotDeploy, hyperdrive_id, main, require, write_config
from tools.weigh import Weight

KNOWN = "f" * 32
ID = "0123456789abcdef0123456789abcdef"
ALL = {"CLOUDFLARE_ACCOUNT_ID": "a", "CLOUDFLARE_API_TOKEN": "t", "DATABASE_URL": "u"}


def test_the_copy_differs_in_the_hyperdrive_alone(tmp_path: Path) -> None:
    config = tmp_path / "wrangler.toml"
    config.write_text(deploy.CONFIG.read_text())
    copy = write_config(ID, config=config)
    assert copy.parent == config.parent
    assert copy.read_text().replace(ID, NO_HYPERDRIVE) == config.read_text()
    envs = tomllib.loads(copy.read_text())["env"]
    assert {env["hyperdrive"][0]["id"] for env in envs.values() if "hyperdrive" in env} == {ID}
    assert [name for name, env in envs.items() if "hyperdrive" not in env] == ["hooks"]


def test_the_worker_for_requests_gets_the_domain_of_its_address(tmp_path: Path) -> None:
    config = tmp_path / "wrangler.toml"
    config.write_text(deploy.CONFIG.read_text())
    domains = deploy.domains_of(["hooks"], {"HOOKS_BASE_URL": "https://hooks.example.com/"})
    envs = tomllib.loads(write_config(ID, domains, config).read_text())["env"]
    route = {"pattern": "hooks.example.com", "custom_domain": True}
    assert {name: env["routes"] for name, env in envs.items() if "routes" in env} == {
        "hooks": [route]
    }


@pytest.mark.parametrize(
    "odd",
    ["", "hooks.example.com", "http://hooks.example.com", "https://hooks", "https://a.example/x",
     "https://a.example:8443", "https://u@a.example", 'https://a.example"', "https://a_b.example",
     "https://a.example\n", "https://*.example.com", "https://127.0.0.1",
     "https://" + "a." * 130 + "example"],
)  # fmt: skip
def test_an_address_that_cannot_be_a_domain_is_refused(odd: str) -> None:
    with pytest.raises(CannotDeploy, match="set HOOKS_BASE_URL to the public address of"):
        deploy.domains_of(["analytics", "hooks"], {"HOOKS_BASE_URL": odd})
    assert deploy.domains_of(["analytics"], {}) == {}


@pytest.mark.parametrize("odd", ['x"\nmain = "y', "", "a1b2", f"{ID}\n", ID.upper()])
def test_an_id_cannot_bring_more_than_itself(tmp_path: Path, odd: str) -> None:
    with pytest.raises(CannotDeploy):
        write_config(odd, config=tmp_path / "wrangler.toml")


@pytest.mark.parametrize("name", ALL)
def test_whatever_is_not_said_is_named(name: str) -> None:
    require(ALL)
    with pytest.raises(CannotDeploy, match=name):
        require({key: value for key, value in ALL.items() if key != name})


@pytest.mark.parametrize("odd", ["\rx", "é", '"', "'"])
def test_a_token_that_cannot_be_one_ends_it_before_anything_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], odd: str
) -> None:
    for name, value in ALL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", f"s3cret{odd}")
    monkeypatch.setattr(deploy, "run", pytest.fail)
    assert main(["analytics"]) == 1
    text = capsys.readouterr()
    assert "deploy: CLOUDFLARE_API_TOKEN invalid" in text.err
    assert "s3cret" not in text.out + text.err


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """An account with this project's Hyperdrive, and an environment that names it."""
    with vendors.running() as vendor:
        route = vendor._route

        def answer(method: str, path: list[str], query: Any, body: Any) -> Answer:
            if path == ["hyperdrive", "configs"]:
                return success([{"name": HYPERDRIVE, "id": KNOWN}])
            return route(method, path, query, body)

        monkeypatch.setattr(vendor, "_route", answer)
        monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", vendors.ACCOUNT)
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", vendors.TOKEN)
        monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", vendor.url)
        monkeypatch.setenv("DATABASE_URL", "postgresql://stranger@127.0.0.1:9/none")
        yield vendor


def test_the_environment_may_say_the_hyperdrive(
    account: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hyperdrive_id(os.environ) == KNOWN
    monkeypatch.setenv("HYPERDRIVE_ID", ID)
    assert hyperdrive_id(os.environ) == ID


@pytest.mark.parametrize("given", ["", ID])
@pytest.mark.parametrize(
    ("name", "status"), [("CLOUDFLARE_API_TOKEN", 401), ("CLOUDFLARE_ACCOUNT_ID", 403)]
)
def test_a_wrong_account_or_token_ends_it_before_anything_is_done(
    account: Vendor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    status: int,
    given: str,
) -> None:
    """Otherwise the database would be migrated before the vendor refuses."""
    monkeypatch.setenv(name, "another")
    monkeypatch.setenv("HYPERDRIVE_ID", given)
    monkeypatch.setattr(deploy, "run", pytest.fail)
    assert main(["analytics"]) == 1
    assert f"deploy: The vendor's API answered {status}" in capsys.readouterr().err


def test_an_env_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["elsewhere"]) == 1
    assert "no env elsewhere" in capsys.readouterr().err


def test_a_command_that_fails_ends_it(
    account: Vendor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    ran: list[tuple[str, ...]] = []
    stamp = tmp_path / "worker-packages.stamp"
    stamp.touch()

    def run(*command: str) -> None:
        ran.append(command)
        if command[0] == "mauntic":
            raise CannotDeploy("mauntic ended with 1")

    monkeypatch.setattr(deploy, "run", run)
    monkeypatch.setattr(deploy, "STATE", tmp_path)
    assert main(["analytics"]) == 1
    assert ran == [("python", "-m", "tools.setup", "--quiet"), ("mauntic", "check", "--offline")]
    assert not stamp.exists(), "the set-up vendors the packages again"
    assert "ended with 1" in capsys.readouterr().err


def test_a_deployment_has_no_secret_in_an_argument_and_reminds_of_known_holes(
    account: Vendor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setenv("DATABASE_URL", "postgresql://owner:s3cret@127.0.0.1:9/none")
    monkeypatch.setattr(deploy, "run", lambda *command: ran.append(command))
    monkeypatch.setattr(deploy, "STATE", tmp_path)
    monkeypatch.setattr(deploy, "weigh", lambda env: Weight(env, 1, 1, {}))
    monkeypatch.setattr(deploy, "write_config", lambda hyperdrive, domains: tmp_path / hyperdrive)
    assert main(["analytics", "scoring"]) == 0
    assert [command[:4] for command in ran[-2:]] == [
        ("wrangler", "deploy", "--env", "analytics"),
        ("wrangler", "deploy", "--env", "scoring"),
    ]
    text = capsys.readouterr()
    words = " ".join(word for command in ran for word in command) + text.out + text.err
    assert "s3cret" not in words
    assert vendors.TOKEN not in words
    assert "make audit" in text.out
