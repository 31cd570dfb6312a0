"""`python -m tests.sim`: many seeds, one process per core; or a single seed, for inspection."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from functools import partial

from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect, with_database
from tests.roles import make_roles
from tests.scratch import scratch_database
from tests.sim.simulation import DAYS, Simulation
from tests.sim.verdict import problems

TEMPLATE = "simulated"


def judge(seed: int, url: str, days: int) -> tuple[int, list[str], float]:
    """Run one seed in its own database; return its problems and the seconds it took."""
    started = time.monotonic()
    with scratch_database(url, TEMPLATE) as database:
        simulation = Simulation(seed, database, days)
        try:
            simulation.run()
            found = problems(simulation)
        finally:
            simulation.close()
    return seed, found, time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--days", type=int, default=DAYS)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if arguments.seed is not None:
        seeds = range(arguments.seed, arguments.seed + 1)
    with temporary_server(in_memory=True) as server:
        with closing(connect(server.url)) as admin:
            admin.run(f"CREATE DATABASE {TEMPLATE}")
        migrate(with_database(server.url, TEMPLATE))
        make_roles(with_database(server.url, TEMPLATE))
        failed = list(_report(seeds, server.url, arguments.days, arguments.processes))
    return 1 if failed else 0


def _report(seeds: range, url: str, days: int, processes: int) -> Iterator[int]:
    """Print results as they arrive; return the seeds that failed."""
    good, spent = 0, 0.0
    with ProcessPoolExecutor(min(processes, len(seeds))) as pool:
        work = [pool.submit(partial(judge, seed, url, days)) for seed in seeds]
        for done in as_completed(work):
            seed, found, took_s = done.result()
            spent += took_s
            if found:
                print(f"seed {seed} failed; replay it with: make sim SEED={seed} DAYS={days}")
                print("\n".join(f"  {problem}" for problem in found), flush=True)
                yield seed
            else:
                good += 1
    print(f"{good} of {len(seeds)} seeds hold, {spent / len(seeds):.1f} s each")


if __name__ == "__main__":
    sys.exit(main())
