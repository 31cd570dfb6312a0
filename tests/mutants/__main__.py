"""`python -m tests.mutants`: change the code at random places and see whether a test fails.

The fast tests run once while it is recorded what each executes. A mutant then runs against the
tests that execute it, fastest first; a survivor against the other fast tests and the simulator.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from queue import SimpleQueue

from tests.mutants.draw import draw
from tests.mutants.equivalent import reason
from tests.mutants.mutant import Mutant
from tests.mutants.record import Record, recorded
from tests.mutants.trial import SIMULATOR, Stage, Tree, Verdict, tree_copy, try_mutant

NOTICED_MIN = 0.95


def main() -> int:
    """0 if at least 95 % of the noticeable mutants were noticed, else 1; 2 without a simulator."""
    options = _options()
    drawn = draw(options.count, options.seed, options.file)
    print(f"{len(drawn)} mutants of seed {options.seed}", flush=True)
    if options.list:
        print("\n".join(map(str, drawn)))
        return 0
    with ExitStack() as stack:
        trees = [stack.enter_context(tree_copy()) for _ in range(options.processes)]
        record = recorded(trees)
        print(f"{len(record.seconds)} fast tests pass without a mutant", flush=True)
        if record.failing:
            print("Without a mutant these fail and are left out:", *sorted(record.failing))
        if not options.quick and (failure := trees[0].first_failure([Stage(SIMULATOR)])):
            print(f"Without a mutant {failure} fails: fix it first.")
            return 2
        return _report(list(_tried(drawn, trees, record, quick=options.quick)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples: make mutants COUNT=20 QUICK=1; make mutants SEED=7 FILE=shared/retry.py",
    )
    parser.add_argument("--count", type=int, default=200, help="number of mutants (200)")
    parser.add_argument("--seed", type=int, default=0, help="what is drawn (0)")
    parser.add_argument("--file", action="append", help="only mutants of this file")
    parser.add_argument("--processes", type=int, default=2, help="trials at once (2)")
    parser.add_argument("--list", action="store_true", help="show the mutants, run nothing")
    parser.add_argument(
        "--quick", action="store_true", help="only the tests that execute a mutant, no simulator"
    )
    return parser.parse_args()


def _tried(
    drawn: Sequence[Mutant], trees: Sequence[Tree], record: Record, *, quick: bool
) -> Iterator[Verdict]:
    """The verdicts, printed as they come; each tree serves one trial at a time."""
    free: SimpleQueue[Tree] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def trial(mutant: Mutant) -> Verdict:
        tree = free.get()
        try:
            return try_mutant(mutant, tree, record, quick=quick)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        work = [pool.submit(trial, mutant) for mutant in drawn]
        for number, done in enumerate(as_completed(work), 1):
            verdict = done.result()
            print(f"[{number}/{len(drawn)}] {_line(verdict)}", flush=True)
            yield verdict


def _line(verdict: Verdict) -> str:
    why = reason(verdict.mutant)
    outcome = verdict.noticed_by or (f"equivalent: {why}" if why else "SURVIVED")
    tests = f"{verdict.executed_by} tests execute it"
    return f"{verdict.mutant}\n    {outcome} ({verdict.seconds:.0f} s, {tests})"


def _report(verdicts: Sequence[Verdict]) -> int:
    noticed = [v for v in verdicts if v.noticed_by]
    survived = [v for v in verdicts if not v.noticed_by and reason(v.mutant) is None]
    noticeable = len(noticed) + len(survived)
    share = len(noticed) / noticeable if noticeable else 1.0
    equivalent = len(verdicts) - noticeable
    print(f"{len(noticed)} of {noticeable} noticed ({share:.1%}), {equivalent} equivalent")
    for verdict in survived:
        print(f"survived: {verdict.mutant}")
    return 0 if share >= NOTICED_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
