"""The page of a cross-validation: what patients give who chose nothing, by group and by subset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mriseg.core.metrics import CaseScores, Summary
from mriseg.core.surface import TOLERANCE
from mriseg.core.wording import counted
from mriseg.io.cross_validations import CrossValidation
from mriseg.report import methods
from mriseg.report.page import About, Cell, Column, Page, Section, Table, Words, number
from mriseg.report.pages.evaluation import evaluation_page

EVERYBODY = "all patients"
_SHOWN = ("dice", "sensitivity", "precision")


def cross_validation_page(
    result: CrossValidation, scores: Sequence[CaseScores], summary: Sequence[Summary], about: About
) -> Page:
    """The page of a finished cross-validation.

    Args:
        result: means over patients, and who was held out.
        scores: of each case in the first subset.
        summary: of these, over cases.
        about: how the page came about.
    """
    page = evaluation_page(scores, summary, about, tolerance=TOLERANCE)
    count = sum(result.parts.values())
    kind = "group" if result.leaves_out else "fold"
    words = Words(
        (
            f"{counted(count, 'patient')}, each measured by a run that was trained alike without "
            f"them. The threshold of a {kind} was chosen by the patients of the other {kind}s, "
            f"among whom each group and each subset of modalities counts the same.",
            f"Means over the cases follow, with these modalities: {result.subsets[0]}.",
        )
    )
    first = (
        Section("Patients held out", (words, _figures(result))),
        Section("Who was held out, and by which calibration", (_parts(result),)),
    )
    return replace(
        page,
        kind="Cross-validation",
        title=f"{result.store}: {counted(len(result.parts), kind)}",
        lead="Masks of patients that chose nothing against reference masks, in 3-D.",
        sections=(*first, *page.sections),
        methods=methods.of_cross_validation(
            version=about.versions.get("mriseg", "?"),
            patients=count,
            parts=len(result.parts),
            leaves_out=result.leaves_out,
        ),
    )


def _figures(result: CrossValidation) -> Table:
    columns = (
        *(Column(name) for name in ("patients of", "modalities", "region")),
        *(Column(f"Dice, {name}", numeric=True) for name in ("mean", "low", "high", "median")),
        *(Column(name, numeric=True) for name in ("sensitivity", "precision", "patients")),
    )
    cells = {(f.group, f.subset, f.region, f.metric): f for f in result.figures}
    rows = []
    for group, subset, region in dict.fromkeys(key[:3] for key in cells):
        dice, *others = (cells[group, subset, region, metric] for metric in _SHOWN)
        rows.append(
            (
                *(Cell(text) for text in (group or EVERYBODY, subset, region)),
                *(number(value) for value in (dice.mean, dice.low, dice.high, dice.median)),
                *(number(other.mean) for other in others),
                number(dice.patients, 0),
            )
        )
    caption = "Means over patients, with 95 % bootstrap intervals"
    return Table(caption, columns, tuple(rows))


def _parts(result: CrossValidation) -> Table:
    columns = (
        Column("held out"),
        *(Column(name, numeric=True) for name in ("patients", "trained without them")),
        Column("region"),
        *(Column(name, numeric=True) for name in ("threshold", "scale", "shift", "smallest")),
    )
    rows = tuple(
        (
            Cell(part),
            number(count, 0),
            number(result.trained[part], 0),
            Cell(region),
            *(number(v) for v in (of.threshold, of.scale, of.shift, of.min_component_share)),
        )
        for part, count in result.parts.items()
        for region, of in result.nested[part].items()
    )
    return Table("smallest: a component, as a share of its region's largest", columns, rows)
