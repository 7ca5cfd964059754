"""What an evaluation finds: its report, and the files that it is written to."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mriseg.core.metrics import METRICS, CaseScores, Summary, summarise
from mriseg.core.surface import TOLERANCE
from mriseg.core.wording import counted
from mriseg.errors import UnknownNameError
from mriseg.events import Measured, Recipe, Wrote
from mriseg.io.disk import documents
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.report import charts

# The bootstrap's own seed: an evaluation repeated gives the same interval.
_SEED = 0


@dataclass(frozen=True, repr=False)
class EvaluateReport(Shown):
    """Scores of each case and region, and their summary.

    Attributes:
        scores: one row per case and region.
        summary: one row per region and metric.
        seen: cases among them that the model was trained on; their scores say nothing of others.
        skipped: (case, reason).
        prediction: how the masks were made: the model, and the `PredictOptions` that it used;
            None where masks were given.
        notices: what of the data should be known beside the scores.
        tolerance: of the normalised surface Dice, in the unit of the scores.
        folder: where its tables and pictures were written; None: nowhere.
    """

    scores: tuple[CaseScores, ...]
    summary: tuple[Summary, ...]
    seen: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    prediction: Mapping[str, Any] | None = None
    notices: tuple[str, ...] = ()
    tolerance: float = TOLERANCE
    folder: Path | None = None

    @property
    def page(self) -> Path | None:
        """Its page; None where there is none."""
        return overviews.page_in(self.folder) if self.folder else None

    def mean(self, region: str, metric: str = "dice") -> float:
        """The mean of a metric over the cases that have a value.

        Args:
            region: the region's name.
            metric: one of `mriseg.core.metrics.METRICS`.

        Returns:
            The mean; nan, with a warning that says why, where no case has a value.

        Raises:
            UnknownNameError: there is no such region or metric.
        """
        rows = {(row.region, row.metric): row for row in self.summary}
        row = rows.get((region, metric))
        if row is None:
            regions = ", ".join(dict.fromkeys(row.region for row in self.summary))
            raise UnknownNameError(
                f"no {metric!r} of {region!r} was measured; regions: {regions}; metrics: "
                f"{', '.join(METRICS)}"
            )
        if not row.cases:
            warnings.warn(self._why_undefined(row), stacklevel=2)
        return row.mean

    def undefined(self) -> tuple[str, ...]:
        """For each metric and region that some case has no value of: in how many, and why."""
        return tuple(self._why_undefined(row) for row in self.summary if row.undefined)

    def _why_undefined(self, row: Summary) -> str:
        scores = [score for score in self.scores if score.region == row.region]
        without = [score for score in scores if math.isnan(getattr(score, row.metric))]
        masks = sum(not score.volume_pred for score in without)
        truths = sum(not score.volume_truth for score in without)
        why = [f"the mask is empty in {masks}"] * bool(masks)
        why += [f"the truth is empty in {truths}"] * bool(truths)
        return (
            f"{row.metric} of {row.region} is undefined (nan) in {len(without)} of "
            f"{counted(len(scores), 'case')}: {' and '.join(why)}"
        )

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return {
            "cases": [{**asdict(s), "seen": s.case in self.seen} for s in self.scores],
            "summary": [asdict(row) for row in self.summary],
            "skipped": [list(pair) for pair in self.skipped],
            "prediction": None if self.prediction is None else dict(self.prediction),
            "notices": list(self.notices),
            "tolerance": self.tolerance,
        }

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.evaluated(self)


def case_event(row: CaseScores) -> Measured:
    """A case's scores as an event."""
    numbers = {k: v for k, v in asdict(row).items() if isinstance(v, float)}
    return Measured("case", 0, numbers, note=f"{row.case} {row.region}")


def reported(report: EvaluateReport, out: Path | None, *, pictures: bool) -> Recipe[EvaluateReport]:
    """``report`` with the summary of its scores, written to ``out`` if that is a folder."""
    scores = report.scores
    summary = summarise(scores, np.random.default_rng(_SEED))
    report = replace(report, summary=tuple(summary), folder=out)
    if out is not None:
        data = report.to_json()
        documents.write_csv(out / "cases.csv", data["cases"])
        documents.write_csv(out / "summary.csv", data["summary"])
        documents.write_json(out / "evaluation.json", data)
        yield Wrote(out, "cases.csv, summary.csv and evaluation.json")
        if pictures:
            path = out / "dice.png"
            cases = len({score.case for score in scores})
            charts.dice_of_cases(path, _dice(scores), f"Dice of {counted(cases, 'case')}")
            yield Wrote(path, "picture")
    return report


def _dice(scores: Sequence[CaseScores]) -> dict[str, list[float]]:
    """Region -> the Dice of each case."""
    by_region: dict[str, list[float]] = {}
    for score in scores:
        by_region.setdefault(score.region, []).append(score.dice)
    return by_region
