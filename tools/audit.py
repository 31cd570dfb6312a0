"""Report known vulnerabilities of the pinned packages, from the public advisory services (`make
audit`).

The exit code is 0 for no vulnerabilities, 1 for some, and 3 if a service could not be reached. The
services know only packages, so the report also lists the programs inside packages with their
versions, to compare with their release notes. `--python` and `--node` name other services, for
example a mirror.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mauntic.database.embedded.account import BINARIES
from mauntic.database.migrations import dbmate_binary
from mauntic.project.printable import visible
from mauntic.project.programs import ROOT, search_path
from tools.causes import explain
from tools.setup import TOOLS, trusted_certificates

NONE, SOME, UNCHECKED = 0, 1, 3


@dataclass(frozen=True)
class Answer:
    """The result for one lock file: the exit code, and a text."""

    code: int
    output: str


def main(arguments: list[str]) -> int:
    """Check both locks and print the results; the exit code is the worse of the two."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--python", metavar="URL", help="an OSV service")
    parser.add_argument("--node", metavar="URL", help="an npm registry with advisories")
    given = parser.parse_args(arguments)
    answers = {"uv.lock": of_python(given.python), "package-lock.json": of_node(given.node)}
    for lock, answer in answers.items():
        print(f"{lock}: {visible(answer.output)}", file=sys.stderr if answer.code else sys.stdout)
    print("programs inside packages, which the services do not know: compare with release notes")
    for program, version in bundled_programs().items():
        print(f"  {program} {version}")
    codes = {answer.code for answer in answers.values()}
    return SOME if SOME in codes else max(codes)


def bundled_programs() -> dict[str, str]:
    """Return the programs inside wheels and npm packages, with their versions."""
    node = [str(ROOT / ".venv" / "bin" / "node"), "--print"]
    modules = ROOT / "node_modules"
    pyodide = json.loads((modules / "pyodide" / "package.json").read_text(encoding="utf-8"))
    abi = json.loads((modules / "pyodide" / "pyodide-lock.json").read_text(encoding="utf-8"))
    return {
        "PostgreSQL": output_of(str(BINARIES / "postgres"), "--version").split()[-1],
        "Node.js": output_of(*node, "process.versions.node"),
        "OpenSSL of Node.js": output_of(*node, "process.versions.openssl"),
        "Pyodide": pyodide["version"],
        "CPython of Pyodide": abi["info"]["python"],
        "workerd": output_of(str(modules / ".bin" / "workerd"), "--version").split()[-1],
        "dbmate": output_of(str(dbmate_binary()), "--version").split()[-1],
    }


def output_of(*command: str) -> str:
    """Return the output of an installed program."""
    settings = {**os.environ, "PATH": search_path()}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def of_python(service: str | None) -> Answer:
    """Check uv.lock: uv exits with 1 for vulnerabilities and with 2 for any other problem."""
    command = [str(TOOLS / "bin" / "uv"), "audit", "--frozen"]
    command += ["--preview-features", "audit-command"]
    command += ["--service-url", service] if service else []
    return run_check(command, lambda done: {0: NONE, 1: SOME}.get(done.returncode, UNCHECKED))


def of_node(registry: str | None) -> Answer:
    """Check package-lock.json: npm exits with 1 in both cases, so only its report shows whether it
    reached the service.
    """
    command = [str(ROOT / ".venv" / "bin" / "npm"), "audit", "--json"]
    command += ["--registry", registry] if registry else []

    def code(done: subprocess.CompletedProcess[str]) -> int:
        report = json.loads(done.stdout or "{}")
        if "auditReportVersion" not in report:
            return UNCHECKED
        return SOME if report["vulnerabilities"] else NONE

    return run_check(command, code)


def run_check(
    command: Sequence[str], code_of: Callable[[subprocess.CompletedProcess[str]], int]
) -> Answer:
    """Run the command; if the service could not be reached, add the cause and the remedy."""
    settings = {**os.environ, **trusted_certificates(), "PATH": search_path()}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
    code = code_of(done)
    output = f"{done.stdout}{done.stderr}".strip()
    if code == NONE:
        return Answer(code, "no known vulnerabilities")
    if code == SOME:
        return Answer(code, f"has known vulnerabilities\n{output}")
    return Answer(code, f"could not be checked\n{why(output)}")


def why(output: str) -> str:
    """The cause and the remedy for the output of a command, and the output."""
    if "405 " in output or "404 " in output:  # a mirror with packages but no advisories
        cause = "the registry in use has no advisories"
        remedy = "name one with advisories: make audit NODE_URL=https://…"
    else:
        cause, remedy = explain(output)
        cause = cause.replace("PyPI or npm", "the advisory service")
        remedy = remedy.partition(", then `make setup`")[0] + ", then `make audit` again"
    lines = "\n".join(f"    | {line}" for line in output.splitlines()[:12])
    return f"  cause:   {cause}\n  remedy:  {remedy}\n{lines}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
