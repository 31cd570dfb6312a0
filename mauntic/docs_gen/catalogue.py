"""Generate files from the code: pages, schemas, the SQL of retention, and wrangler.toml's queues.

`python -m mauntic.docs_gen.catalogue --write` generates them (`make catalogue`). `--check` names
each file that is out of date and exits with 1, as `mauntic check` and `make lint` do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mauntic.docs_gen import campaign_figures, delivery_states, engagement, kept
from mauntic.docs_gen.env_block import env_block, web_block
from mauntic.docs_gen.pages import pages, replace_block
from mauntic.operations.worker_catalog import AnyWorker, declared
from mauntic.project.programs import ROOT
from shared.jobs import Worker
from shared.queues import Queue

TOPOLOGY = ROOT / "wrangler.toml"
CAMPAIGN_PARTS = ROOT / "workers" / "analytics" / "sql" / "parts"
OPERATION_PARTS = ROOT / "mauntic" / "operations" / "sql" / "parts"
ENGAGEMENT_PART = ROOT / "workers" / "scoring" / "sql" / "parts" / "engagement_types.sql"
RUNBOOK = ROOT / "docs" / "operations.md"
DELIVERIES = ROOT / "docs" / "deliveries.md"

# Dead letters wait while Postgres is down, so they get as many tries as the platform allows. Each
# has at most 128 kB, so ten of them are small compared with the 128 MB of an isolate.
DEAD = {"max_batch_size": 10, "max_batch_timeout": 5, "max_retries": 100, "max_concurrency": 1}


def generated_files(every: Sequence[AnyWorker]) -> dict[Path, str]:
    """Return the full text of every file that is generated or has a generated part."""
    workers = [worker for worker in every if isinstance(worker, Worker)]
    runbook = RUNBOOK.read_text(encoding="utf-8")
    return {
        **pages(workers),
        TOPOLOGY: topology(TOPOLOGY.read_text(encoding="utf-8"), every),
        ROOT / "shared" / "sql" / "retention.sql": kept.deletion(),
        **{CAMPAIGN_PARTS / name: text for name, text in campaign_figures.parts().items()},
        **{OPERATION_PARTS / name: t for name, t in campaign_figures.operation_parts().items()},
        ENGAGEMENT_PART: engagement.part(),
        ROOT / "mauntic" / "operations" / "sql" / "retention.sql": kept.report(),
        RUNBOOK: replace_block(runbook, "retention", kept.page()),
        DELIVERIES: deliveries(DELIVERIES.read_text(encoding="utf-8")),
    }


def deliveries(text: str) -> str:
    """docs/deliveries.md with the states of a message."""
    text = replace_block(text, "delivery diagram", delivery_states.diagram())
    text = replace_block(text, "delivery transitions", delivery_states.table())
    return replace_block(text, "delivery conditions", delivery_states.guards())


def stale(workers: Sequence[AnyWorker]) -> list[Path]:
    """Return the files whose text is not current."""
    return [path for path, text in generated_files(workers).items() if _content(path) != text]


def write(workers: Sequence[AnyWorker]) -> list[Path]:
    """Write the files that are not current; return their paths."""
    changed = stale(workers)
    texts = generated_files(workers)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
    return changed


def topology(text: str, workers: Sequence[AnyWorker]) -> str:
    """Return wrangler.toml with the current block of every worker; append a new worker's block."""
    for worker in workers:
        if isinstance(worker, Worker):
            text = _replaced(text, worker.env, env_block(worker, block(worker), text))
        else:
            text = _replaced(text, worker.env, web_block(worker))
    return text


def block(worker: Worker) -> str:
    """Return the crons and queues of one worker."""
    crons = ", ".join(f'"{cron}"' for cron in worker.crons)
    tables = [f"[env.{worker.env}.triggers]\ncrons = [{crons}]"]
    for queue in worker.queues:
        tables += _queue_tables(worker, queue)
    return "\n\n".join(tables)


def _queue_tables(worker: Worker, queue: Queue) -> list[str]:
    """Return the producers and consumers of a queue and of its dead-letter queue."""
    env, batch = worker.env, worker.batch_of(queue)
    settings: dict[str, int | str] = {
        "dead_letter_queue": f'"{queue.dead_letter_name}"',
        "max_batch_size": batch.size,
        "max_batch_timeout": batch.timeout_s,
        "max_retries": queue.max_retries,
        "max_concurrency": queue.max_concurrency,
    }
    return [
        _producer(env, queue.name, queue.binding),
        _producer(env, queue.dead_letter_name, queue.dead_letter_binding),
        _consumer(env, queue.name, settings),
        _consumer(env, queue.dead_letter_name, DEAD),
    ]


def _producer(env: str, queue: str, binding: str) -> str:
    return f'[[env.{env}.queues.producers]]\nqueue = "{queue}"\nbinding = "{binding}"'


def _consumer(env: str, queue: str, settings: Mapping[str, int | str]) -> str:
    lines = [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join([f"[[env.{env}.queues.consumers]]", f'queue = "{queue}"', *lines])


def _replaced(text: str, env: str, content: str) -> str:
    begin, end = marks(env)
    head, is_begun, rest = text.partition(begin)
    _, is_ended, tail = rest.partition(end)
    if is_begun and is_ended:
        return f"{head}{begin}\n{content}\n{end}{tail}"
    if is_begun or end in text or f"[env.{env}]" in text:
        raise ValueError(
            f"wrangler.toml has a part of [env.{env}], but not between {begin!r} and {end!r}:"
            " remove that part, then run `make catalogue`"
        )
    return f"{text.rstrip()}\n\n{begin}\n{content}\n{end}\n"


def marks(env: str) -> tuple[str, str]:
    """Return the lines that enclose a worker's block."""
    return f"# generated: {env} (make catalogue)", f"# end of generated: {env}"


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: list[str]) -> int:
    catalog = declared()
    for name, error in catalog.broken.items():
        print(f"workers/{name} cannot be imported: {error}", file=sys.stderr)
    if arguments not in (["--check"], ["--write"]) or catalog.broken:
        print("usage: python -m mauntic.docs_gen.catalogue --check | --write", file=sys.stderr)
        return 2
    if arguments == ["--write"]:
        for path in write(catalog.all_workers):
            print(f"wrote {path.relative_to(ROOT)}")
        return 0
    wrong = stale(catalog.all_workers)
    for path in wrong:
        print(f"{path.relative_to(ROOT)} is out of date: run `make catalogue`", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
