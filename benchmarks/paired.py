"""What trainings gave on the same patients, in pairs: several forecasts of one store.

Forecasts with the same sizes, folds and seeds train on the same patients and hold out the same
others, whatever they start from. The first that is named is what the others are compared with, at
the sizes that all have.

    mriseg forecast hip.zarr --width 16 --budget 1m --rounds 1 --seeds 3 --out scratch
    mriseg forecast hip.zarr --from base --budget 1m --rounds 1 --seeds 3 --out base
    python -m benchmarks.paired scratch base
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from rich import box
from rich.table import Table

from mriseg.cli.render import fail, results
from mriseg.core.statistics import Difference, difference, per_patient
from mriseg.errors import InputError, MrisegError
from mriseg.io.forecasts import CSV

Rows = list[dict[str, str]]


def read(folder: Path) -> Rows:
    """The rows of a forecast, one for each case and training.

    Raises:
        InputError: it is not there.
    """
    path = folder / CSV
    if not path.exists():
        raise InputError(f"{folder} holds no {CSV}: expected the --out of a finished forecast")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def dice_of(rows: Iterable[Mapping[str, str]], size: str) -> dict[str, float]:
    """Patient -> Dice, averaged over seeds, after trainings of a size."""
    return per_patient((row["patient"], float(row["dice"])) for row in rows if row["size"] == size)


def compared(control: Rows, treated: Rows, size: str) -> Difference:
    """What ``treated`` has more than ``control`` at a size.

    Raises:
        InputError: they did not hold out the same patients.
    """
    generator = np.random.default_rng(0)
    return difference(dice_of(treated, size), dice_of(control, size), generator)


def main() -> None:
    """Print the means and their differences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("forecasts", type=Path, nargs="+", help="folders; the first is the base")
    try:
        results().print(table_of(parser.parse_args().forecasts))
    except (OSError, MrisegError) as error:
        fail(str(error))
        sys.exit(2)


def table_of(folders: Sequence[Path]) -> Table:
    """Dice after each forecast's trainings, and how much more than after the first's."""
    first, *others = (read(folder) for folder in folders)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("patients", "start", "Dice", f"more than {folders[0].name}", "p", "better in"):
        table.add_column(heading)
    common = set.intersection(*({row["size"] for row in rows} for rows in (first, *others)))
    if not common:
        raise InputError("the forecasts have no size in common: give all of them the same --sizes")
    for size in (size for size in dict.fromkeys(row["size"] for row in first) if size in common):
        base = dice_of(first, size)
        table.add_row(size, folders[0].name, f"{fmean(base.values()):.3f}", "", "", "")
        for folder, rows in zip(folders[1:], others, strict=True):
            more, dice = compared(first, rows, size), dice_of(rows, size)
            table.add_row(
                size,
                folder.name,
                f"{fmean(dice.values()):.3f}",
                f"{more.mean:+.3f} [{more.low:+.3f}, {more.high:+.3f}]",
                f"{more.p:.3g}",
                f"{sum(dice[name] > base[name] for name in base)} of {more.patients}",
            )
    return table


if __name__ == "__main__":
    sys.exit(main())
