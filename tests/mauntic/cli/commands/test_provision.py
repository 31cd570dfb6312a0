"""The missing resources as commands; an account that answers like the vendor."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics.worker import WORKER
from mauntic.errors import OperatorError
from mauntic.operations import generated_keys, provisioning
from mauntic.operations.vendor import wrangler
from mauntic.operations.vendor.wrangler import Command
from mauntic.operations.worker_catalog import workers
from mauntic.project.connections import connection_limit, held
from mauntic.project.envs import CONFIG
from mauntic.project.programs import ROOT
from tests.mauntic import vendor as vendors
from tests.mauntic.harness import DLQ, QUEUE, Cli
from tests.mauntic.vendor import Answer, Vendor, failure, success

ID = "0123456789abcdef0123456789abcdef"
WEEK_S = 604_800


class Account:
    """Buckets, Hyperdrive, secrets and the vendor's queues, and wrangler's effect on them."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.buckets: set[str] = set()
        self.hyperdrives: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, set[str]] = {}
        self.values: dict[str, set[str]] = {}  # of each secret, in all workers
        self.expiry_days: dict[str, int] = {}
        self.lines: list[str] = []
        self.created: list[dict[str, Any]] = []
        self._queues = vendor._route

    def route(self, method: str, path: list[str], query: Any, body: Any) -> Answer:
        match (method, path):
            case ("GET", ["r2", "buckets"]):
                return success({"buckets": [{"name": name} for name in sorted(self.buckets)]})
            case ("GET", ["r2", "buckets", name, "lifecycle"]):
                age = {"type": "Age", "maxAge": self.expiry_days.get(name, 0) * 86_400}
                own = {"id": "x", "enabled": True, "deleteObjectsTransition": {"condition": age}}
                multipart = {"id": "y", "enabled": True, "conditions": {"prefix": ""}}
                return success({"rules": [multipart, *([own] if name in self.expiry_days else [])]})
            case ("POST", ["hyperdrive", "configs"]):
                self.created.append(body)
                made = {"id": ID, "name": body["name"], "caching": body["caching"]}
                self.hyperdrives[body["name"]] = made
                return success(made)
            case ("GET", ["hyperdrive", "configs"]):
                return success(list(self.hyperdrives.values()))
            case ("GET", ["workers", "scripts", script, "secrets"]):
                if script not in self.secrets:
                    return failure(404, 10007, "This Worker does not exist on your account.")
                return success([{"name": name} for name in sorted(self.secrets[script])])
        return self._queues(method, path, query, body)

    def wrangler(self, command: Command) -> int:
        """Change the account as the command would."""
        self.lines.append(command.line)
        assert shlex.split(command.line.rpartition("| ")[2]) == list(command.words)
        name, *words = command.words
        assert name == "wrangler"
        match words:
            case ["queues", "create" | "update", name, *options]:
                self.vendor.add_queue(name)
                if options:
                    retention = int(options[1])
                    self.vendor.queues[name]["settings"]["message_retention_period"] = retention
            case ["r2", "bucket", "create", name]:
                self.buckets.add(name)
            case ["r2", "bucket", "lifecycle", "add", name, _, "--expire-days", days, "--force"]:
                self.expiry_days[name] = int(days)
            case ["hyperdrive", "update", _, "--origin-connection-limit", limit]:
                self.hyperdrives["mauntic"]["origin_connection_limit"] = int(limit)
            case ["hyperdrive", "update", _, "--caching-disabled"]:
                self.hyperdrives["mauntic"]["caching"]["disabled"] = True
            case ["secret", "put", name, "--env", env]:
                scripts = {need.env: need.script for need in provisioning.needs_of(CONFIG)}
                self.secrets.setdefault(scripts[env], set()).add(name)
                self.values.setdefault(name, set()).add(command.input)
            case _:
                raise AssertionError(command)
        return 0


KEYS = ("HOOK_KEYS", "UNSUBSCRIBE_KEYS")


@pytest.fixture
def account(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An empty account, with wrangler working on it."""
    monkeypatch.setattr(generated_keys, "FOLDER", tmp_path)
    for name in KEYS:
        monkeypatch.setenv(name, "")  # so that a generated one ends with the test
        monkeypatch.delenv(name)
    with vendors.running() as vendor:
        account = Account(vendor)
        monkeypatch.setattr(vendor, "_route", account.route)
        monkeypatch.setattr(provisioning, "run", account.wrangler)
        monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", vendors.ACCOUNT)
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", vendors.TOKEN)
        monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", vendor.url)
        for name in ("ALERT_WEBHOOK_URL", "HEARTBEAT_URL_ANALYTICS", "HEARTBEAT_URL_SCORING"):
            monkeypatch.delenv(name, raising=False)
        yield account


def test_the_plan_prints_what_an_empty_account_lacks_and_does_nothing(
    cli: Cli, account: Account
) -> None:
    answer = cli("provision", "--plan", "--env", "analytics", "--json")
    assert answer.code == 0
    assert [one["command"] for one in answer.json["missing"]] == [
        f"wrangler queues create {QUEUE}",
        f"wrangler queues create {DLQ} --message-retention-period-secs 1209600",
        "wrangler r2 bucket create mauntic-warmup-counters",
        "mauntic provision --apply",
        "printf false | wrangler secret put ENABLE_ANALYTICS_CRON --env analytics",
    ]
    assert account.lines == []


def test_what_is_applied_once_is_not_missing_again(cli: Cli, account: Account) -> None:
    assert cli("provision", "--apply").code == 0
    assert {need.script for need in provisioning.needs_of(CONFIG)} == set(account.secrets)
    assert account.expiry_days == {"mauntic-delivery-inbox": 30}
    done = len(account.lines)
    answer = cli("provision", "--apply")
    assert answer.code == 0
    assert len(account.lines) == done
    assert "Nothing is missing" in answer.out
    assert f"HYPERDRIVE_ID={ID}" in answer.out


@pytest.mark.parametrize("action", ["--plan", "--apply"])
def test_the_open_gate_of_a_deployed_worker_stays_open(
    cli: Cli, account: Account, action: str
) -> None:
    """Without the secret the crons run. A command that sets it to false stops production."""
    cli("provision", "--apply")
    account.secrets[WORKER.name].remove(WORKER.gate)
    account.lines.clear()
    answer = cli("provision", action)
    assert (answer.code, account.lines) == (0, [])
    assert "Nothing is missing" in answer.out
    assert f"{WORKER.name} has no secret {WORKER.gate}, so its crons run" in answer.err
    assert "mauntic cutover back --env analytics" in answer.err


def test_keys_are_made_once_and_are_the_same_for_both_workers(
    cli: Cli, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = cli("provision", "--plan", "--json").json["missing"]
    made = [one for one in plan if one["why"].endswith("a new key")]
    assert [one["command"] for one in made] == ["mauntic provision --apply"] * 2
    answer = cli("provision", "--apply")
    assert answer.code == 0, answer
    [path] = tmp_path.iterdir()
    assert (path.name, path.stat().st_mode & 0o777) == (f"keys-{vendors.ACCOUNT}.env", 0o600)
    kept = dict(line.split("=") for line in path.read_text().splitlines())
    assert {name: account.values[name] for name in KEYS} == {n: {kept[n]} for n in KEYS}
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in kept.values())
    assert kept["HOOK_KEYS"] != kept["UNSUBSCRIBE_KEYS"]
    for script in ("mauntic-delivery-hooks", "mauntic-delivery-queue"):
        assert set(KEYS) <= account.secrets[script]
    output = answer.out + answer.err + "".join(account.lines)
    assert not any(key in output for key in kept.values())
    for name in KEYS:
        monkeypatch.delenv(name)  # another shell
    assert cli("provision", "--apply").code == 0
    assert account.values["HOOK_KEYS"] == {kept["HOOK_KEYS"]}
    assert "ENABLE" not in "".join(line for line in account.lines if "--env hooks" in line)


def test_a_key_of_the_operator_is_used(
    cli: Cli, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, f"own {name}")
    assert cli("provision", "--apply").code == 0
    assert {name: account.values[name] for name in KEYS} == {n: {f"own {n}"} for n in KEYS}
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_one_worker_has_is_not_made_for_the_other(cli: Cli, account: Account) -> None:
    account.secrets["mauntic-delivery-queue"] = {"HOOK_KEYS", "UNSUBSCRIBE_KEYS"}
    answer = cli("provision", "--plan")
    assert (answer.code, account.lines) == (1, [])
    assert "mauntic-delivery-hooks must have the same HOOK_KEYS as" in answer.err
    assert "set HOOK_KEYS in the environment" in answer.err


def test_a_shared_key_is_not_made_for_one_worker_alone(cli: Cli, account: Account) -> None:
    answer = cli("provision", "--plan", "--env", "hooks")
    assert answer.code == 1
    assert "share HOOK_KEYS: provision them together, or set HOOK_KEYS" in answer.err
    assert cli("provision", "--plan", "--env", "hooks", "--env", "delivery").code == 0


def test_an_undeployed_worker_starts_with_a_closed_gate_next_to_an_open_one(
    cli: Cli, account: Account
) -> None:
    account.secrets[WORKER.name] = set()
    assert cli("provision", "--apply").code == 0
    gates = [line for line in account.lines if line.startswith("printf false")]
    held = [w for w in workers() if w.env != WORKER.env]
    assert set(gates) == {
        f"printf false | wrangler secret put {w.gate} --env {w.env}" for w in held
    }
    assert "printf false | wrangler secret put ENABLE_SCORING_CRON --env scoring" in gates


def test_what_wrangler_says_is_no_part_of_the_answer(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert wrangler.run(Command("greet", ("echo", "Success!"))) == 0
    assert capfd.readouterr() == ("", "Success!\n")


HOSTILE = "x; touch /tmp/owned #"


def test_an_argument_is_no_program(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither when the command runs it nor when a person pastes the plan."""
    command = Command("greet", ("echo", HOSTILE, "$(id)", "'"))
    assert wrangler.run(command) == 0
    assert capfd.readouterr().err == f"{HOSTILE} $(id) '\n"
    pasted = subprocess.run(["sh", "-c", command.line], capture_output=True, text=True, check=True)
    assert pasted.stdout == f"{HOSTILE} $(id) '\n"


@pytest.mark.parametrize("odd", [HOSTILE, "", "a1b2x", "A" * 32, f"{'a' * 32}\n", 7, None, ["a"]])
@pytest.mark.parametrize("action", ["--plan", "--apply"])
def test_an_id_of_the_vendor_s_is_an_id_or_refused(
    cli: Cli, account: Account, action: str, odd: object
) -> None:
    account.hyperdrives["mauntic"] = {"id": odd, "name": "mauntic", "caching": {}}
    answer = cli("provision", action)
    assert (answer.code, answer.out, account.lines) == (1, "", [])
    assert "is not as documented: result.0.id" in answer.err
    assert "touch" not in answer.err


def test_hyperdrive_is_made_without_the_password_in_an_argument(
    cli: Cli, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://o%40wner:s3cr%2Fet@db.example:6543/shop?sslmode=verify-full"
    monkeypatch.setenv("DATABASE_URL_WORKERS", url)
    answer = cli("provision", "--apply", "--env", "analytics")
    assert answer.code == 0, answer
    origin = {
        "scheme": "postgres", "host": "db.example", "port": 6543, "user": "o@wner",
        "password": "s3cr/et", "database": "shop",
    }  # fmt: skip
    assert account.created == [
        {
            "name": "mauntic", "origin": origin, "caching": {"disabled": True},
            "origin_connection_limit": 60,
        }
    ]  # fmt: skip
    output = answer.out + answer.err + "".join(account.lines)
    assert "s3cr" not in output


def test_applying_answers_in_nothing_but_json(cli: Cli, account: Account) -> None:
    answer = cli("provision", "--apply", "--json")
    assert answer.json == {"missing": [], "hyperdrive_id": ID}
    assert all(f"$ {line}" in answer.err for line in account.lines)


def test_short_retention_caching_and_too_few_connections_are_corrected(
    cli: Cli, account: Account
) -> None:
    cli("provision", "--apply", "--env", "analytics")
    account.vendor.queues[DLQ]["settings"]["message_retention_period"] = WEEK_S
    account.hyperdrives["mauntic"]["caching"]["disabled"] = False
    account.hyperdrives["mauntic"]["origin_connection_limit"] = 20  # the consumers open 22
    account.lines.clear()
    assert cli("provision", "--apply", "--env", "analytics").code == 0
    assert account.lines == [
        f"wrangler queues update {DLQ} --message-retention-period-secs 1209600",
        f"wrangler hyperdrive update {ID} --caching-disabled",
        f"wrangler hyperdrive update {ID} --origin-connection-limit 60",
    ]


def test_a_webhook_is_set_where_the_operator_has_one_and_never_printed(
    cli: Cli, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://hooks.example/secret-path")
    answer = cli("provision", "--apply", "--env", "analytics")
    assert "ALERT_WEBHOOK_URL" in account.secrets[WORKER.name]
    assert "secret-path" not in answer.out + answer.err


def test_each_worker_has_a_heartbeat_of_its_own_that_is_never_printed(
    cli: Cli, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTBEAT_URL", "https://sign.example/secret-of-all")
    monkeypatch.setenv("HEARTBEAT_URL_SCORING", "https://sign.example/secret-of-scoring")
    given: dict[str, str] = {}

    def run(command: Command) -> int:
        if "HEARTBEAT_URL" in command.words:
            given[command.line] = command.input
        return account.wrangler(command)

    monkeypatch.setattr(provisioning, "run", run)
    answer = cli("provision", "--apply")
    assert answer.code == 0, answer
    line = "printenv HEARTBEAT_URL_SCORING | wrangler secret put HEARTBEAT_URL --env scoring"
    assert given == {line: "https://sign.example/secret-of-scoring"}
    assert "secret-of" not in answer.out + answer.err
    cli("provision", "--apply")
    assert len(account.lines) == len(set(account.lines))  # what is set is not set again


def test_a_command_that_fails_ends_it_with_its_name(
    cli: Cli, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provisioning, "run", lambda command: 1)
    answer = cli("provision", "--apply", "--env", "analytics")
    assert answer.code == 1
    assert QUEUE in answer.err


def test_an_env_that_is_not_there_is_refused() -> None:
    with pytest.raises(OperatorError, match="no env elsewhere"):
        provisioning.needs_of(CONFIG, ["elsewhere"])


@pytest.mark.parametrize("arguments", [[], ["--plan", "--apply"]])
def test_one_of_plan_and_apply_is_required(cli: Cli, arguments: list[str]) -> None:
    assert cli("provision", *arguments).code == 1


CONNECTIONS = {  # of each consumer, by queue; one for each dead-letter queue
    "mauntic-analytics-jobs": 2,
    "mauntic-scoring-events": 2,
    "mauntic-delivery-jobs": 2,
    "mauntic-journey-events": 2,
    "mauntic-send-email": 1,
    "mauntic-send-sms": 1,
    "mauntic-send-push": 1,
}


def test_all_consumers_together_stay_below_the_connections_that_hyperdrive_may_open() -> None:
    """Added up from wrangler.toml by hand."""
    import tomllib

    envs = tomllib.loads(CONFIG.read_text())["env"].values()
    consumers = [one for env in envs for one in env.get("queues", {}).get("consumers", [])]
    most = [one["max_concurrency"] * CONNECTIONS.get(one["queue"], 1) for one in consumers]
    assert sum(most) == held(workers()) < connection_limit()


def test_the_local_pool_is_as_large_as_the_one_that_is_asked_for() -> None:
    [size] = re.findall(
        r"^const ORIGIN_CONNECTIONS = (\d+);",
        (ROOT / "mauntic" / "local" / "hyperdrive" / "hyperdrive.mjs").read_text(),
        re.M,
    )
    assert int(size) == connection_limit()
