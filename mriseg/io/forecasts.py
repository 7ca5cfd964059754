"""The summary of a forecast; its plan and its trainings are as in `mriseg.io.comparisons`.

::

    OUT/
        plan.json, runs/    as of a comparison
        forecast.json       what was measured, the curve, and what more patients would be worth
        forecast.csv        one row per case and training

The format is described in ``docs/formats.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mriseg.core.comparison import Score
from mriseg.core.forecast import Forecast
from mriseg.io.comparisons import Plan, with_format
from mriseg.io.disk import documents
from mriseg.io.disk.schemas import as_json

JSON, CSV = "forecast.json", "forecast.csv"


def write_forecast(out: Path, plan: Plan, scores: Sequence[Score], forecast: Forecast) -> None:
    """Write ``forecast.json`` and ``forecast.csv``.

    Args:
        out: the forecast's folder.
        plan: of its trainings.
        scores: of each case after each training.
        forecast: the curve through them.

    Raises:
        OutputError: they cannot be written.
    """
    content = as_json(plan)
    del content["cases"]
    content["seeds"] = sorted({score.seed for score in scores})
    documents.write_csv(out / CSV, [score.to_row() for score in scores])
    documents.write_json(
        out / JSON, with_format({**content, **documents.plain(forecast)}, "forecast")
    )
