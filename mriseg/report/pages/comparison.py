"""The page of a comparison: which start is best, at each number of training patients."""

from __future__ import annotations

from collections.abc import Sequence

from mriseg.core.comparison import METHODS, Comparison
from mriseg.core.wording import counted, duration
from mriseg.report import methods
from mriseg.report.chart_style import Vector
from mriseg.report.charts import dice_against_cases
from mriseg.report.page import (
    About,
    Cell,
    Chart,
    Column,
    Facts,
    Page,
    Section,
    Table,
    Words,
    number,
)

Line = Sequence[tuple[float, float, float]]


def comparison_page(
    comparison: Comparison, about: About, *, source: str, store: str, patients: int, folds: int
) -> Page:
    """The page of a finished comparison.

    Args:
        comparison: its means, differences and verdicts.
        about: how the page came about.
        source: the run that transfers started from.
        store: the data that they were transferred to.
        patients: how many took part.
        folds: that they were split into.
    """
    names = tuple(dict.fromkeys(cell.method for cell in comparison.cells))
    trainings = sum(cell.trainings for cell in comparison.cells)
    tiles = (
        ("Patients", str(patients), f"in {folds} folds"),
        ("Trainings", str(trainings), f"{counted(len(names), 'method')}"),
        ("Sizes", str(len(comparison.verdicts)), "numbers of training patients"),
    )
    verdicts = tuple(
        f"With {_patients(comparison, size)}: {text}" for size, text in comparison.verdicts.items()
    )
    what = tuple((name, METHODS[name].what) for name in names)
    sections = (
        Section("Verdict", (Words(verdicts), _chart(comparison, names))),
        Section("Each method", (_cells(comparison), Facts(what))),
        Section("Differences", (_contrasts(comparison),)),
    )
    return Page(
        kind="Comparison",
        title=f"{source} to {store}",
        lead="Ways to start a training, on the same patients, folds and seeds.",
        about=about,
        tiles=tiles,
        sections=sections,
        methods=methods.of_comparison(
            version=about.versions.get("mriseg", "?"),
            patients=patients,
            folds=folds,
            source=source,
        ),
    )


def lines(comparison: Comparison) -> tuple[list[int], dict[str, list[tuple[float, float, float]]]]:
    """Numbers of training patients, and method -> (mean, low, high) at each of them."""
    cells = {(cell.size, cell.method): cell for cell in comparison.cells}
    sizes = list(comparison.verdicts)
    names = list(dict.fromkeys(cell.method for cell in comparison.cells))
    drawn = {
        name: [
            (cell.dice.mean, cell.dice.low, cell.dice.high)
            for cell in (cells[size, name] for size in sizes)
        ]
        for name in names
    }
    return [cells[size, names[0]].patients for size in sizes], drawn


def _patients(comparison: Comparison, size: str) -> str:
    count = next(cell.patients for cell in comparison.cells if cell.size == size)
    return counted(count, "training patient")


def _chart(comparison: Comparison, names: Sequence[str]) -> Chart:
    sizes, drawn = lines(comparison)
    chart = Vector()
    dice_against_cases(chart, sizes, drawn, "")
    said = "; ".join(f"{name} {drawn[name][-1][0]:.3f}" for name in names)
    alt = f"Dice against the number of training patients. With {max(sizes)}: {said}."
    return Chart(chart.svg, alt, "Means over the patients held out, with 95 % intervals.")


def _cells(comparison: Comparison) -> Table:
    columns = (
        Column("method"),
        Column("training patients", numeric=True),
        Column("Dice, mean", numeric=True),
        Column("low", numeric=True),
        Column("high", numeric=True),
        Column("trainings", numeric=True),
        Column("time of one"),
    )
    rows = (
        (
            Cell(cell.method),
            number(cell.patients, 0),
            number(cell.dice.mean),
            number(cell.dice.low),
            number(cell.dice.high),
            number(cell.trainings, 0),
            Cell(duration(cell.seconds)),
        )
        for cell in comparison.cells
    )
    return Table("Dice of patients held out, with 95 % intervals", columns, tuple(rows))


def _contrasts(comparison: Comparison) -> Table:
    columns = (
        Column("method"),
        Column("against"),
        Column("size"),
        Column("difference", numeric=True),
        Column("low", numeric=True),
        Column("high", numeric=True),
        Column("p, corrected", numeric=True),
        Column("verdict"),
    )
    rows = (
        (
            Cell(row.method),
            Cell(row.against),
            Cell(row.size),
            number(row.difference.mean),
            number(row.difference.low),
            number(row.difference.high),
            number(row.corrected),
            Cell(row.verdict),
        )
        for row in comparison.contrasts
    )
    return Table("Paired differences of Dice by patient", columns, tuple(rows))
