"""Problems of generated files: pages, schemas, the generated parts of wrangler.toml."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mauntic.checks import Problem
from mauntic.docs_gen import catalogue
from mauntic.operations.worker_catalog import AnyWorker
from mauntic.project.programs import ROOT


def problems(workers: Sequence[AnyWorker]) -> Iterator[Problem]:
    """Yield a problem for every file that `make catalogue` would change."""
    try:
        stale = catalogue.stale(workers)
    except (ValueError, OSError) as error:
        yield Problem("docs", "catalogue", f"cannot be generated: {error}")
        return
    for path in stale:
        name = path.relative_to(ROOT).as_posix()
        yield Problem("docs", name, "does not match the code: run `make catalogue`")
