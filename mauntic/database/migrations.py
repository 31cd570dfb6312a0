"""Apply `migrations/*.sql` with dbmate, and print the resulting schema with pg_dump.

`python -m mauntic.database.migrations up | status | dump`. `up` and `status` use DATABASE_URL, else
the embedded database. `dump` prints the schema that the migrations make (`make schema`).
"""

import os
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from mauntic.database.embedded.account import BINARIES
from mauntic.database.embedded.server import open_database, temporary_server
from mauntic.database.url import DatabaseUnavailable, DatabaseUrl, connect
from mauntic.project.printable import visible
from mauntic.project.programs import ROOT

DIRECTORY = ROOT / "migrations"
UNDO = "-- migrate:down"
STATE = re.compile(r"\[(?P<mark>[ X])\] (?P<file>\S+)")
NEW_SCHEMA = re.compile(r"^create schema (\w+);", re.MULTILINE | re.IGNORECASE)
TABLE = "ops.schema_migrations"  # dbmate creates schema and table

# pg_dump writes a comment before every statement, and sets defaults in between.
HEADING = re.compile(r"^--\n-- Name: .*; Type: .*; Schema: .*\n--\n", re.MULTILINE)
DEFAULTS = re.compile(
    r"^SET default_(tablespace|table_access_method|toast_compression) = .*;\n", re.M
)
TRAILER = "\n--\n-- PostgreSQL database dump complete\n"


class MigrationFailed(Exception):
    """dbmate refused, or a migration failed; the text is dbmate's output."""


def migrate(url: str, directory: Path = DIRECTORY) -> str:
    """Apply the pending migrations, each file in a transaction; return a line for each file.

    Raises MigrationFailed, before anything is written, if the schemas exist already.
    """
    if found := in_the_way(url, directory):
        raise MigrationFailed(adoption_needed(found))
    return dbmate(url, directory, "migrate")


def in_the_way(url: str, directory: Path = DIRECTORY) -> list[str]:
    """Return the existing schemas that a pending migration would create."""
    with closing(connect(url)) as connection:
        [[has_versions]] = connection.run("select to_regclass(:name) is not null", name=TABLE)
        versions = connection.run(f"select version from {TABLE}") if has_versions else []
        names = _created_schemas(directory, {version for (version,) in versions})
        found = connection.run(
            "select nspname from pg_namespace"
            " where nspname = any(cast(:names as text[])) order by 1",
            names=names,
        )
        return [name for (name,) in found]


def _created_schemas(directory: Path, applied_versions: set[str]) -> list[str]:
    texts = (
        file.read_text(encoding="utf-8")
        for file in directory.glob("*.sql")
        if file.name.partition("_")[0] not in applied_versions
    )
    return [name for text in texts for name in NEW_SCHEMA.findall(text)]


def adoption_needed(schemas: list[str]) -> str:
    """Explain why the migrations cannot be applied, and which command replaces them."""
    plural = "schemas" if len(schemas) > 1 else "schema"
    return (
        f"The database already has the {plural} {', '.join(schemas)}, which no migration"
        " created: run `mauntic db adopt --plan`, which changes the existing tables to this schema."
    )


def applied_files(output: str) -> list[str]:
    """Return the files that `migrate` applied, from its output."""
    return re.findall(r"^Applied: (\S+) in ", output, re.MULTILINE)


def status(url: str, directory: Path = DIRECTORY) -> str:
    """Return dbmate's list of migrations, with `[X]` for each applied one, and the number of
    pending ones.
    """
    return dbmate(url, directory, "status")


def states(url: str) -> dict[str, bool]:
    """Return whether each migration is applied, by its file name, in order."""
    lines = (STATE.fullmatch(line) for line in status(url).splitlines())
    return {line["file"]: line["mark"] == "X" for line in lines if line}


def pending(url: str) -> list[str]:
    """Return the migrations that are not applied."""
    return [file for file, is_applied in states(url).items() if not is_applied]


def dbmate(url: str, directory: Path, command: str) -> str:
    """Run dbmate. The environment passes the URL, because arguments are visible to others
    (`ps`).
    """
    with forward_only(directory) as files:
        done = subprocess.run(
            [
                *(dbmate_binary(), "--env", "DATABASE_URL", "--env-file", os.devnull),
                *("--migrations-dir", files, "--migrations-table", TABLE),
                *("--no-dump-schema", command),
            ],
            env={**os.environ, "DATABASE_URL": for_libpq(url)},
            capture_output=True,
            text=True,
        )
    if done.returncode != 0:
        output = f"{done.stdout}{done.stderr}".strip()
        raise MigrationFailed(without_password(output, url))
    return done.stdout


@contextmanager
def forward_only(directory: Path) -> Iterator[Path]:
    """Yield a copy of the migrations with the undo block that dbmate requires.

    These migrations only go forward. With an empty undo block in the files themselves, `dbmate
    rollback` would forget a migration without undoing it, so only the copy has one.
    """
    with tempfile.TemporaryDirectory(prefix="mauntic-migrations-") as copy:
        for file in directory.glob("*.sql"):
            text = file.read_text(encoding="utf-8")
            Path(copy, file.name).write_text(f"{text}\n{UNDO}\n", encoding="utf-8")
        yield Path(copy)


def dbmate_binary(modules: Path = ROOT / "node_modules") -> Path:
    """Return the binary that npm installed for this platform."""
    found = sorted(modules.glob("@dbmate/*/bin/dbmate"))
    if not found:
        raise MigrationFailed("dbmate is not installed: run `make setup`.")
    return found[0]


def for_libpq(url: str) -> str:
    """Return the URL for dbmate. TLS is off on loopback, where dbmate would require it. Each part
    is escaped again, because dbmate prints a URL that it cannot parse.
    """
    to = DatabaseUrl.parse(url)
    to.refuse_optional_tls()
    query = urlsplit(url).query
    if to.sslmode is None:
        query = "&".join(filter(None, [query, "sslmode=disable"]))
    user, database = quote(to.user, safe=""), quote(to.database, safe="")
    login = user if to.password is None else f"{user}:{quote(to.password, safe='')}"
    host = f"[{to.host}]" if ":" in to.host else to.host
    return f"postgresql://{login}@{host}:{to.port}/{database}?{query}"


def without_password(output: str, url: str) -> str:
    """Return the output of another program without the password, plain or percent-encoded."""
    password = DatabaseUrl.parse(url).password
    for text in filter(None, (password, quote(password or "", safe=""))):
        output = output.replace(text, "[password]")
    return output


def tls_of(to: DatabaseUrl) -> dict[str, str]:
    """Return the variables with which libpq encrypts as the URL requires; libpq does not find the
    system's certificates.
    """
    to.refuse_optional_tls()
    trusted = to.sslrootcert or ssl.get_default_verify_paths().cafile or "system"
    checks = (to.sslmode or "").startswith("verify-")
    return {
        **({"PGSSLMODE": to.sslmode} if to.sslmode else {}),
        **({"PGSSLROOTCERT": trusted} if checks else {}),
    }


def dump_schema(url: str) -> str:
    """Return the schema as SQL text, which depends only on the schema."""
    to = DatabaseUrl.parse(url)
    done = subprocess.run(
        [
            *(BINARIES / "pg_dump", "--schema-only", "--no-owner", "--no-privileges"),
            *("--restrict-key", "0", "--exclude-table", TABLE, "--no-password"),
            *("--host", to.host, "--port", str(to.port), "--username", to.user, to.database),
        ],
        env={**os.environ, **tls_of(to), "PGPASSWORD": to.password or "", "PGCONNECT_TIMEOUT": "5"},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        output = without_password(done.stderr.strip(), url)
        raise DatabaseUnavailable(f"pg_dump failed: {output}")
    return normalize(done.stdout)


def normalize(dump: str) -> str:
    """Return only the statements, separated by empty lines, without pg_dump's headings, settings
    and trailer.
    """
    body = dump.partition(TRAILER)[0]
    first, *statements = HEADING.split(body)
    del first  # pg_dump's header and settings
    plain = [DEFAULTS.sub("", statement).strip() for statement in statements]
    return "\n\n".join(statement for statement in plain if statement) + "\n" * bool(statements)


def dump_migrations(directory: Path = DIRECTORY) -> str:
    """Return the schema that the migrations make, on a temporary server."""
    with temporary_server() as server:
        migrate(server.url, directory)
        return dump_schema(server.url)


def main(arguments: list[str]) -> int:
    """Run the command line; errors go to standard error."""
    commands = {"up": migrate, "status": status}
    try:
        if arguments == ["dump"]:
            sys.stdout.write(dump_migrations())
        elif len(arguments) == 1 and arguments[0] in commands:
            with open_database(os.environ) as database:
                sys.stdout.write(commands[arguments[0]](database.url))
        else:
            sys.stderr.write("usage: python -m mauntic.database.migrations up | status | dump\n")
            return 2
    except (MigrationFailed, DatabaseUnavailable) as error:
        sys.stderr.write(f"{visible(str(error))}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
