"""``python -m tests.fuzz --count 10000 --seed 1``: bad inputs of every kind.

A defect is printed with its number; ``--only KIND --number N`` runs that input alone, with its
traceback.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.fuzz.box import boxed
from tests.fuzz.campaign import campaign, shares
from tests.fuzz.commands import type_in
from tests.fuzz.seeds import plant
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Run a campaign; 1 if it found a defect."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(TARGETS), action="append")
    parser.add_argument("--number", type=int)
    parser.add_argument("--typed", action="store_true", help="through the command line")
    given = parser.parse_args()
    names = given.only or list(TARGETS)
    with tempfile.TemporaryDirectory(prefix="mriseg-seeds-") as root:
        seeds = plant(Path(root))
        if given.number is not None:
            target, rng = TARGETS[names[0]], Random(f"{given.seed}/{names[0]}/{given.number}")
            with boxed(Path(root)) as box:
                target.damage(rng, seeds, box)
                if given.typed:
                    type_in(rng, names[0], seeds, box)
                else:
                    target.read(rng, seeds, box)
            return 0
        bad = 0
        print(f"{'kind':12}{'inputs':>8}{'accepted':>10}{'refused':>9}{'defects':>9}"
              f"{'slowest s':>11}{'MiB':>6}{'all s':>7}", flush=True)  # fmt: skip
        for name, count in shares(given.count, names).items():
            began = time.monotonic()
            tally = campaign(name, count, given.seed, seeds, given.typed)
            outcomes, defects = tally.outcomes, tally.defects
            print(f"{name:12}{count:8}{outcomes['accepted']:10}{outcomes['refused']:9}"
                  f"{len(defects):9}{tally.slowest:11.1f}{tally.largest / 2**20:6.0f}"
                  f"{time.monotonic() - began:7.0f}", flush=True)  # fmt: skip
            by_message: dict[str, list[int]] = {}
            for number, what in defects:
                # One defect shows in many inputs, whose paths and numbers differ.
                by_message.setdefault(re.sub(r"/\S+|\d+|'[^']*'", "*", what)[:160], []).append(
                    number
                )
            for what, numbers in sorted(by_message.items(), key=lambda item: -len(item[1])):
                print(f"    {len(numbers)} x {what} (number {numbers[0]})", flush=True)
            bad += len(defects)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
