"""The page of an evaluation: means with intervals, a point per case, the cases to look at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from mriseg.core.metrics import CaseScores, Summary
from mriseg.core.wording import counted
from mriseg.io.writers.names import file_stems
from mriseg.report import methods
from mriseg.report.chart_style import Vector
from mriseg.report.charts import dice_of_cases
from mriseg.report.page import (
    About,
    Block,
    CaseEntry,
    Cell,
    Chart,
    Column,
    Facts,
    Flag,
    Page,
    Picture,
    Section,
    Table,
    Viewer,
    number,
)

# Metric -> its heading and digits; lengths get their unit.
_METRICS: Mapping[str, tuple[str, int]] = {
    "dice": ("Dice", 3),
    "sensitivity": ("sensitivity", 3),
    "precision": ("precision", 3),
    "hd95": ("HD95", 1),
    "nsd": ("NSD", 3),
    "assd": ("ASSD", 2),
    "iou": ("IoU", 3),
    "lesion_f1": ("lesion F1", 2),
}
_LENGTHS = ("hd95", "assd")
# Beside a case's volumes; the table has the others.
_OF_A_CASE = ("dice", "sensitivity", "precision", "hd95")
_COLUMNS = ("mean", "low", "high", "median", "cases", "undefined")


@dataclass(frozen=True)
class CaseView:
    """A case to look at.

    Attributes:
        viewer: as in `mriseg.report.page.CaseEntry`.
        size: that its volumes take in a page, in bytes.
    """

    viewer: Callable[[bool], Viewer | str]
    size: int = 0


def evaluation_page(
    scores: Sequence[CaseScores],
    summary: Sequence[Summary],
    about: About,
    *,
    model: str = "",
    seen: Collection[str] = (),
    tolerance: float,
    picture: bytes | None = None,
    views: Mapping[str, CaseView] = MappingProxyType({}),
) -> Page:
    """The page of scores.

    Args:
        scores: of each case and region; at least one.
        summary: of these.
        about: how the page came about.
        model: that made the masks; empty where mask files were measured.
        seen: cases that the model was trained on.
        tolerance: of the normalised surface Dice.
        picture: of the best, the median and the worst cases.
        views: case -> its volumes to look at; the case then has a place of its own.
    """
    cases = len({score.case for score in scores})
    unit = "mm" if scores[0].unit == "mm" else "px"
    dice = [row for row in summary if row.metric == "dice"]
    tiles = (
        ("Cases", str(cases), ""),
        *((f"Dice {row.region}, mean", number(row.mean).text, _interval(row)) for row in dice),
    )
    said = "; ".join(f"{row.region} mean {row.mean:.3f}, median {row.median:.3f}" for row in dice)
    blocks: list[Block] = [_summary(summary, unit)]
    if cases > 1:  # one point is no distribution
        blocks.append(_points(scores, said))
    sections = [Section("Summary", tuple(blocks))]
    if picture is not None:
        words = "The best, the median and the worst cases; the truth is a pale outline."
        shown = Picture(
            picture, f"One slice each of the best, the median and the worst cases. {said}.", words
        )
        sections.append(Section("Best, median and worst", (shown,)))
    entries = _entries(scores, seen, views, unit)
    places = {entry.name: entry.place for entry in entries}
    sections.append(Section("Cases", (_cases(scores, seen, unit, places),)))
    name = f"{model} on {counted(cases, 'case')}" if model else f"Masks of {counted(cases, 'case')}"
    return Page(
        kind="Evaluation",
        title=name,
        lead="Masks against reference masks, in 3-D, with 95 % bootstrap intervals of the means.",
        about=about,
        tiles=tiles,
        sections=tuple(sections),
        cases=entries,
        methods=methods.of_evaluation(
            version=about.versions.get("mriseg", "?"),
            tolerance=tolerance,
            unit=unit,
            model=model,
            cases=cases,
        ),
    )


def _points(scores: Sequence[CaseScores], said: str) -> Chart:
    by_region: dict[str, list[float]] = {}
    for score in scores:
        by_region.setdefault(score.region, []).append(score.dice)
    chart = Vector()
    dice_of_cases(chart, by_region, "")
    alt = f"Dice of each case by region: {said}."
    return Chart(chart.svg, alt, "A point is a case; lines are quartiles.")


def _interval(row: Summary) -> str:
    low, high = number(row.low), number(row.high)
    return "" if "-" in (low.text, high.text) else f"95 % interval {low.text} to {high.text}"


def _heading(metric: str, unit: str) -> str:
    name, _ = _METRICS.get(metric, (metric, 3))
    return f"{name}, {unit}" if metric in _LENGTHS else name


def _summary(summary: Sequence[Summary], unit: str) -> Table:
    columns = (
        Column("region"),
        Column("metric"),
        *(
            Column(name, numeric=True)
            for name in ("mean", "low", "high", "median", "cases", "undefined")
        ),
    )
    rows = []
    for row in summary:
        _, digits = _METRICS.get(row.metric, (row.metric, 3))
        values = (row.mean, row.low, row.high, row.median)
        rows.append(
            (
                Cell(row.region),
                Cell(_heading(row.metric, unit)),
                *(number(value, digits) for value in values),
                number(row.cases, 0),
                number(row.undefined, 0),
            )
        )
    return Table("Means over the cases, with their 95 % intervals", columns, tuple(rows))


def _cases(
    scores: Sequence[CaseScores], seen: Collection[str], unit: str, places: Mapping[str, str]
) -> Table:
    volume = "mL" if unit == "mm" else "voxels"
    columns = (
        Column("case"),
        Column("region"),
        *(Column(_heading(name, unit), numeric=True) for name in _METRICS),
        Column(f"volume, {volume}", numeric=True),
        Column(f"true volume, {volume}", numeric=True),
        Column("remarks"),
    )
    digits = 2 if unit == "mm" else 0
    rows = [
        (
            Cell(score.case, case=places.get(score.case, "")),
            Cell(score.region),
            *(number(getattr(score, name), places) for name, (_, places) in _METRICS.items()),
            number(score.volume_pred, digits),
            number(score.volume_truth, digits),
            Cell("", flags=_flags(score, seen)),
        )
        for score in sorted(scores, key=lambda score: score.dice)
    ]
    return Table(
        "Each case and region, the lowest Dice first; a heading sorts", columns, tuple(rows)
    )


def _flags(score: CaseScores, seen: Collection[str]) -> tuple[Flag, ...]:
    flags = [Flag("trained on it", "warn")] if score.case in seen else []
    if not score.volume_pred and score.volume_truth:
        flags.append(Flag("empty mask", "warn"))
    return tuple(flags)


def _entries(
    scores: Sequence[CaseScores],
    seen: Collection[str],
    views: Mapping[str, CaseView],
    unit: str,
) -> tuple[CaseEntry, ...]:
    """A place for each case that can be looked at, the lowest mean Dice first."""
    by_case: dict[str, list[CaseScores]] = {}
    for score in scores:
        by_case.setdefault(score.case, []).append(score)
    order = sorted(set(by_case) & set(views), key=lambda name: (_mean_dice(by_case[name]), name))
    stems = file_stems(order)
    return tuple(
        CaseEntry(
            name=name,
            place=stems[name],
            size=views[name].size,
            flags=tuple(dict.fromkeys(f for s in by_case[name] for f in _flags(s, seen))),
            blocks=partial(_blocks, tuple(by_case[name]), unit),
            viewer=views[name].viewer,
        )
        for name in order
    )


def _mean_dice(scores: Sequence[CaseScores]) -> float:
    return sum(score.dice for score in scores) / len(scores)


def _blocks(scores: Sequence[CaseScores], unit: str) -> tuple[Block, ...]:
    return (
        Facts(
            tuple(
                (
                    f"{score.region}, {_heading(name, unit)}",
                    number(getattr(score, name), digits).text,
                )
                for score in scores
                for name, (_, digits) in _METRICS.items()
                if name in _OF_A_CASE
            )
        ),
    )
