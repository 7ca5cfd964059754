"""The page of an improvement: the old model against the new, on patients kept aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mriseg.core.improvement import Judgement
from mriseg.report import methods
from mriseg.report.chart_style import Vector
from mriseg.report.charts import dice_of_cases
from mriseg.report.page import (
    About,
    Cell,
    Chart,
    Column,
    Page,
    Section,
    Table,
    Words,
    number,
)


@dataclass(frozen=True)
class Pair:
    """A patient that was kept aside.

    Attributes:
        patient: whose scan it is.
        old: Dice with the old model.
        new: Dice with the new one.
    """

    patient: str
    old: float
    new: float


def improvement_page(
    judgement: Judgement, pairs: Sequence[Pair], about: About, *, model: str, learnt: int
) -> Page:
    """The page of a finished round.

    Args:
        judgement: whether the new model is better.
        pairs: both models on each patient.
        about: how the page came about.
        model: the old model.
        learnt: how many patients trained.
    """
    gap = judgement.difference
    tiles = (
        ("Old model", f"{judgement.old.mean:.3f}", "Dice, patients kept aside"),
        ("New model", f"{judgement.new.mean:.3f}", f"better in {judgement.gained} of {len(pairs)}"),
        ("Difference", f"{gap.mean:+.3f}", f"[{gap.low:.3f}, {gap.high:.3f}]"),
    )
    verdict = f"{judgement.verdict[0].upper()}{judgement.verdict[1:]}."
    return Page(
        kind="Improvement",
        title=f"{model}, learnt on from corrections",
        lead=(
            f"{learnt} corrected patients trained the new model. The {len(pairs)} below are kept "
            f"aside for good: neither model was trained on them."
        ),
        about=about,
        tiles=tiles,
        sections=(
            Section("Verdict", (Words((verdict,)), _chart(pairs))),
            Section("Patients kept aside", (_table(pairs),)),
        ),
        methods=methods.of_improvement(
            version=about.versions.get("mriseg", "?"),
            source=model,
            learnt=learnt,
            held_out=len(pairs),
        ),
    )


def _chart(pairs: Sequence[Pair]) -> Chart:
    chart = Vector()
    scores = {"old model": [pair.old for pair in pairs], "new model": [pair.new for pair in pairs]}
    dice_of_cases(chart, scores, "")
    worst = min(pairs, key=lambda pair: pair.new)
    alt = (
        f"Dice of each patient kept aside with both models. The lowest with the new one is "
        f"{worst.new:.3f}, {worst.old:.3f} before."
    )
    return Chart(chart.svg, alt, "Each point is a patient that neither model was trained on.")


def _table(pairs: Sequence[Pair]) -> Table:
    columns = (
        Column("patient"),
        Column("old model", numeric=True),
        Column("new model", numeric=True),
        Column("change", numeric=True),
    )
    rows = (
        (Cell(pair.patient), number(pair.old), number(pair.new), number(pair.new - pair.old))
        for pair in pairs
    )
    return Table("Dice by patient, the mean over regions", columns, tuple(rows))
