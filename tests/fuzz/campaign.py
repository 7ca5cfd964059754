"""Many bad inputs, in child processes that can be killed and cannot take all memory."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from tests.fuzz.box import boxed
from tests.fuzz.commands import type_in
from tests.fuzz.judge import MEMORY, WAITED, Verdict, judged
from tests.fuzz.seeds import Seeds
from tests.fuzz.targets import TARGETS

if sys.platform != "win32":
    import resource

# Beyond this the child is stuck where no alarm reaches it, and is killed.
_PATIENCE = 2 * WAITED


@dataclass
class Tally:
    """What became of all inputs of one kind.

    Attributes:
        outcomes: how many ended in which way.
        defects: (the input's number, what was wrong) of those that should not have ended so.
        slowest: seconds.
        largest: bytes.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[tuple[int, str]] = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0

    def add(self, number: int, verdict: Verdict) -> None:
        """Count one."""
        self.outcomes[verdict.outcome] += 1
        self.slowest = max(self.slowest, verdict.seconds)
        self.largest = max(self.largest, verdict.grown)
        if not verdict.good:
            self.defects.append((number, f"{verdict.outcome}: {verdict.detail}"))


def one(
    name: str, number: int, seed: int, seeds: Seeds, under: Path, typed: bool = False
) -> Verdict:
    """Make and run one input; the same numbers make the same input.

    Args:
        name: of the target.
        number: of the input.
        seed: of the campaign.
        seeds: what is damaged.
        under: where the input's folders are made.
        typed: give it to a command rather than to functions.
    """
    target = TARGETS[name]
    rng = Random(f"{seed}/{name}/{number}")
    with boxed(under) as box:
        target.damage(rng, seeds, box)
        if typed:
            return judged(lambda: type_in(rng, name, seeds, box), box)
        return judged(lambda: target.read(rng, seeds, box), box)


def shares(count: int, names: list[str]) -> dict[str, int]:
    """How many of ``count`` inputs are of which kind, by weight."""
    weights = {name: TARGETS[name].weight for name in names}
    total = sum(weights.values())
    counts = {name: max(1, count * weight // total) for name, weight in weights.items()}
    counts[names[0]] += count - sum(counts.values())
    return counts


def campaign(name: str, count: int, seed: int, seeds: Seeds, typed: bool = False) -> Tally:
    """Run ``count`` inputs of a kind; a child that dies or hangs is a defect, and replaced."""
    tally, number = Tally(), 0
    with tempfile.TemporaryDirectory(prefix="mriseg-fuzz-", ignore_cleanup_errors=True) as under:
        while number < count:
            number = _sitting(name, number, count, seed, seeds, Path(under), typed, tally)
    return tally


def _sitting(
    name: str,
    first: int,
    count: int,
    seed: int,
    seeds: Seeds,
    under: Path,
    typed: bool,
    tally: Tally,
) -> int:
    """Inputs from ``first`` on until the child dies or all are done; the next one's number."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(
        target=_work, args=(theirs, name, first, count, seed, seeds, under, typed), daemon=True
    )
    child.start()
    theirs.close()
    number, patience = first, 300.0  # it has to load torch first
    try:
        while number < count:
            if not ours.poll(patience):
                tally.add(number, Verdict("hang", "in code that no alarm reaches"))
                return number + 1
            try:
                tally.add(number, ours.recv())
            except EOFError:
                child.join()
                tally.add(number, Verdict("crash", f"the process ended with {child.exitcode}"))
                return number + 1
            number, patience = number + 1, _PATIENCE
    finally:
        child.kill()
        child.join()
    return number


def _work(
    link: Connection,
    name: str,
    first: int,
    count: int,
    seed: int,
    seeds: Seeds,
    under: Path,
    typed: bool,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries say of broken files is theirs; mriseg's own warnings are defects.
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", module="mriseg")
    # libtiff tells of what is odd by itself.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    one(
        name, first, seed, seeds, under, typed
    )  # loads all that the first input would be charged for
    if sys.platform == "linux":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = taken + 4 * MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for number in range(first, count):
        link.send(one(name, number, seed, seeds, under, typed))
