"""Common causes of a failed setup, recognized by the output of pip, uv and npm, with remedies."""

from __future__ import annotations

import re

# The first pattern that matches decides: specific patterns come before general ones.
CAUSES = [
    (
        r"No module named pip",
        "this Python comes without pip",
        "install pip (Debian, Ubuntu: apt-get install python3-pip; Fedora: dnf install "
        "python3-pip; macOS: python3 -m ensurepip), then `make setup` again",
    ),
    (
        r"No space left on device|ENOSPC|Disk quota exceeded",
        "the disk is full",
        "free about 2 GB, then `make setup` again",
    ),
    (
        r"lockfile .{0,40}needs to be updated|`npm ci` can only install|Missing: .* from lock file",
        "a lock file does not fit pyproject.toml or package.json",
        "make them agree (`uv lock`, `npm install --package-lock-only`) or restore both from git",
    ),
    (
        r"EINTEGRITY|DO NOT MATCH THE HASHES|[Hh]ash mismatch",
        "a downloaded package is not the one that the lock names",
        "empty the cache (`npm cache clean --force`, `uv cache clean`, `python3 -m pip cache "
        "purge`) and try again; if it stays so, distrust the registry or mirror in use",
    ),
    (
        r"No matching distribution found|No solution found|ETARGET|has no wheels|code E404|"
        r"no wheels with a matching",
        "the registry cannot be reached, or has no such package for this system and Python",
        "check the network, and whether a mirror that is set for pip, uv or npm carries the "
        "package; use CPython 3.11 to 3.14 on Linux (glibc 2.28 or later) or macOS",
    ),
    (
        r"EACCES|EPERM|[Pp]ermission denied|Read-only file system",
        "a file or directory is not writable",
        "make the working tree and your caches (~/.cache, ~/.npm) yours: they may be left from a "
        'run as root (chown -R "$USER" on them)',
    ),
    (
        r"UnknownIssuer|invalid peer certificate|CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|"
        r"UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        "a proxy or mirror shows a certificate of an authority that is not trusted here",
        "add the authority to the system's certificates, or name its file in SSL_CERT_FILE, "
        "PIP_CERT and NODE_EXTRA_CA_CERTS",
    ),
    (
        r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT|"
        r"[Tt]emporary failure in name resolution|Failed to fetch|Connection|[Tt]imed out|"
        r"dns error|error sending request",
        "PyPI or npm cannot be reached",
        "check the network and the proxy or mirror settings of pip, uv and npm, then `make setup` "
        "again: it continues where it stopped",
    ),
]


def explain(output: str) -> tuple[str, str]:
    """The cause and the remedy for the output of a command."""
    for pattern, cause, remedy in CAUSES:
        if re.search(pattern, output):
            return cause, remedy
    return (
        "unknown: see the output above",
        "fix the problem, then `make setup` again: it continues where it stopped",
    )
