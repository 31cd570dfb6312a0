"""Many seeds, a process for each core; or one seed, to look at."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass

from mauntic.database.embedded.server import temporary_server
from mauntic.database.migrations import migrate
from mauntic.database.url import connect, with_database
from tests.roles import make_roles
from tests.scratch import scratch_database

TEMPLATE = "simulated"


@dataclass(frozen=True)
class Judged:
    """What is wrong, and a line about what happened: the same whenever the seed is run."""

    problems: list[str]
    history: str = ""


# Runs a seed for so many days in a new database.
Judge = Callable[[int, str, int], Judged]


@dataclass(frozen=True)
class Command:
    """A simulator as a command. `target` is how make names it."""

    program: str
    about: str
    judge: Judge
    days: int
    target: str

    def main(self) -> int:
        arguments = self._parser().parse_args()
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        if arguments.seed is not None:
            seeds = range(arguments.seed, arguments.seed + 1)
        with temporary_server(in_memory=True) as server:
            with closing(connect(server.url)) as admin:
                admin.run(f"CREATE DATABASE {TEMPLATE}")
            migrate(with_database(server.url, TEMPLATE))
            make_roles(with_database(server.url, TEMPLATE))
            failed = list(self._report(seeds, server.url, arguments.days, arguments.processes))
        return 1 if failed else 0

    def _parser(self) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog=self.program, description=self.about)
        parser.add_argument("--seeds", type=int, default=100, help="how many")
        parser.add_argument("--from", dest="first", type=int, default=0, help="the first")
        parser.add_argument("--seed", type=int, help="this one alone")
        parser.add_argument("--processes", type=int, default=2)
        parser.add_argument("--days", type=int, default=self.days)
        return parser

    def _report(self, seeds: range, url: str, days: int, processes: int) -> Iterator[int]:
        """Print as results come in; the seeds that failed."""
        good, spent = 0, 0.0
        with ProcessPoolExecutor(min(processes, len(seeds))) as pool:
            work = [pool.submit(_judged, self.judge, seed, url, days) for seed in seeds]
            for count, done in enumerate(as_completed(work), 1):
                seed, judged, took_s = done.result()
                spent += took_s
                good += not judged.problems
                if judged.problems:
                    again = f"make {self.target} SEED={seed} DAYS={days}"
                    print(f"seed {seed} failed; replay it with: {again}")
                    print("\n".join(f"  {problem}" for problem in judged.problems), flush=True)
                    yield seed
                elif len(seeds) == 1 and judged.history:
                    print(judged.history)
                if count % 10 == 0:
                    print(f"{count} of {len(seeds)} seeds, {good} hold", flush=True)
        print(f"{good} of {len(seeds)} seeds hold, {spent / len(seeds):.1f} s each")


def _judged(judge: Judge, seed: int, url: str, days: int) -> tuple[int, Judged, float]:
    """Run one seed in a database of its own: what came of it, and the seconds it took."""
    started = time.monotonic()
    with scratch_database(url, TEMPLATE) as database:
        judged = judge(seed, database, days)
    return seed, judged, time.monotonic() - started
