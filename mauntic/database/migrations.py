"""The schema: `migrations/*.sql` applied by dbmate, and written out by pg_dump for readers.

`python -m mauntic.database.migrations up | status | dump`. `up` and `status` work on DATABASE_URL,
else on the embedded database; `dump` prints the schema that the migrations give (`make schema`).
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
TABLE = "ops.schema_migrations"  # dbmate makes schema and table itself

# pg_dump heads every statement with a comment, and sets defaults in between.
HEADING = re.compile(r"^--\n-- Name: .*; Type: .*; Schema: .*\n--\n", re.MULTILINE)
DEFAULTS = re.compile(
    r"^SET default_(tablespace|table_access_method|toast_compression) = .*;\n", re.M
)
TRAILER = "\n--\n-- PostgreSQL database dump complete\n"


class MigrationFailed(Exception):
    """dbmate refused or a migration failed; the text is what dbmate said."""


def migrate(url: str, directory: Path = DIRECTORY) -> str:
    """Apply what is pending, each file in a transaction; returns a line for each file.

    MigrationFailed, before anything is written, where the schemas are there already.
    """
    if found := in_the_way(url, directory):
        raise MigrationFailed(adoption_needed(found))
    return dbmate(url, directory, "migrate")


def in_the_way(url: str, directory: Path = DIRECTORY) -> list[str]:
    """The schemas of the database that a pending migration would create."""
    with closing(connect(url)) as connection:
        [[has_versions]] = connection.run("select to_regclass(:name) is not null", name=TABLE)
        known = connection.run(f"select version from {TABLE}") if has_versions else []
        names = _created_schemas(directory, {version for (version,) in known})
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
    """Say why the migrations cannot be applied, and what to run in their place."""
    plural = "schemas" if len(schemas) > 1 else "schema"
    return (
        f"The database already has the {plural} {', '.join(schemas)}, which no migration made:"
        " run `mauntic db adopt --plan`, which brings the existing tables to our schema."
    )


def applied(said: str) -> list[str]:
    """The files that a `migrate` applied, from what it returned."""
    return re.findall(r"^Applied: (\S+) in ", said, re.MULTILINE)


def status(url: str, directory: Path = DIRECTORY) -> str:
    """The migrations, `[X]` before each that is applied, and how many are pending."""
    return dbmate(url, directory, "status")


def states(url: str) -> dict[str, bool]:
    """Every migration by its file, in order, and whether it is applied."""
    lines = (STATE.fullmatch(line) for line in status(url).splitlines())
    return {line["file"]: line["mark"] == "X" for line in lines if line}


def pending(url: str) -> list[str]:
    """Those that are not applied."""
    return [file for file, is_applied in states(url).items() if not is_applied]


def dbmate(url: str, directory: Path, command: str) -> str:
    """Run dbmate. The URL goes by the environment: arguments are public (`ps`)."""
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
        said = f"{done.stdout}{done.stderr}".strip()
        raise MigrationFailed(without_password(said, url))
    return done.stdout


@contextmanager
def forward_only(directory: Path) -> Iterator[Path]:
    """The migrations as dbmate wants them: each with a block that undoes it.

    Ours only go forward. An empty block in our own files would let `dbmate rollback` forget a
    migration without undoing it, so it stands in the copy alone.
    """
    with tempfile.TemporaryDirectory(prefix="mauntic-migrations-") as copy:
        for file in directory.glob("*.sql"):
            text = file.read_text(encoding="utf-8")
            Path(copy, file.name).write_text(f"{text}\n{UNDO}\n", encoding="utf-8")
        yield Path(copy)


def dbmate_binary(modules: Path = ROOT / "node_modules") -> Path:
    """The binary that npm installed for this platform."""
    found = sorted(modules.glob("@dbmate/*/bin/dbmate"))
    if not found:
        raise MigrationFailed("dbmate is not installed: run `make setup`.")
    return found[0]


def for_libpq(url: str) -> str:
    """The URL with TLS off on the loopback, where dbmate would insist on it. Each part is escaped
    anew: what dbmate cannot read it prints."""
    to = DatabaseUrl.parse(url)
    to.refuse_optional_tls()
    query = urlsplit(url).query
    if to.sslmode is None:
        query = "&".join(filter(None, [query, "sslmode=disable"]))
    user, database = quote(to.user, safe=""), quote(to.database, safe="")
    login = user if to.password is None else f"{user}:{quote(to.password, safe='')}"
    host = f"[{to.host}]" if ":" in to.host else to.host
    return f"postgresql://{login}@{host}:{to.port}/{database}?{query}"


def without_password(said: str, url: str) -> str:
    """What another program said, but for the password, as it is and as a URL has it."""
    password = DatabaseUrl.parse(url).password
    for text in filter(None, (password, quote(password or "", safe=""))):
        said = said.replace(text, "[password]")
    return said


def tls_of(to: DatabaseUrl) -> dict[str, str]:
    """What libpq needs to encrypt as the URL says; it finds no certificates of the system's."""
    to.refuse_optional_tls()
    trusted = to.sslrootcert or ssl.get_default_verify_paths().cafile or "system"
    checks = (to.sslmode or "").startswith("verify-")
    return {
        **({"PGSSLMODE": to.sslmode} if to.sslmode else {}),
        **({"PGSSLROOTCERT": trusted} if checks else {}),
    }


def dump_schema(url: str) -> str:
    """The schema as SQL text: the same for the same schema, whoever made it and when."""
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
        said = without_password(done.stderr.strip(), url)
        raise DatabaseUnavailable(f"pg_dump failed: {said}")
    return normalized(done.stdout)


def normalized(dump: str) -> str:
    """The statements alone, an empty line apart: no headings, settings or trailer of pg_dump."""
    body = dump.partition(TRAILER)[0]
    first, *statements = HEADING.split(body)
    del first  # pg_dump's greeting and its settings
    plain = [DEFAULTS.sub("", statement).strip() for statement in statements]
    return "\n\n".join(statement for statement in plain if statement) + "\n" * bool(statements)


def dump_migrations(directory: Path = DIRECTORY) -> str:
    """The schema that the migrations make, from nothing, in a server of its own."""
    with temporary_server() as server:
        migrate(server.url, directory)
        return dump_schema(server.url)


def main(arguments: list[str]) -> int:
    """The command line; errors go to standard error as one text."""
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
