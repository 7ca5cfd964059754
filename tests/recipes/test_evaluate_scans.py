"""A model measured on scans, or a table of cases, without a store of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.backends.base import Backend
from mriseg.events import Event, Wrote, finish
from mriseg.io.runs import Run
from mriseg.io.store import open_store
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.evaluate_scans import evaluate_scans, spelled
from mriseg.recipes.inspect import inspect
from mriseg.recipes.preprocess import preprocess


@pytest.mark.slow
def test_it_measures_as_a_store_would(
    trained: Run, brats_source: Path, cpu: Backend, tmp_path: Path
) -> None:
    finish(preprocess(brats_source, tmp_path / "x.zarr", regions="WT,TC,ET", workers=1))
    finish(inspect(brats_source, csv=tmp_path / "cases.csv", workers=1))
    case = trained.manifest.validation[0]
    own = finish(evaluate(open_store(tmp_path / "x.zarr"), trained, cpu, cases=[case]))
    events: list[Event] = []
    for source in (brats_source, tmp_path / "cases.csv"):
        report = finish(evaluate_scans(source, trained, cpu, cases=[case]), events.append)
        assert report.scores == own.scores
    assert not any(isinstance(event, Wrote) for event in events)


def test_cases_that_cannot_be_read_are_in_the_report(
    trained: Run, brats_source: Path, cpu: Backend, tmp_path: Path
) -> None:
    finish(inspect(brats_source, csv=tmp_path / "cases.csv", workers=1))
    text = (tmp_path / "cases.csv").read_text().replace(trained.manifest.train[0] + ",", "?x,", 1)
    (tmp_path / "cases.csv").write_text(text)
    report = finish(
        evaluate_scans(tmp_path / "cases.csv", trained, cpu, include_seen=True, pictures=False)
    )
    assert "a proposal" in dict(report.skipped)["?x"]


@pytest.mark.parametrize(
    ("regions", "text"),
    [
        ({"WT": (1, 2, 3, 4), "ET": (4,)}, "WT,ET"),
        ({"ET": (3,)}, "ET=3"),
        ({"foreground": (1, 2)}, "foreground=1+2"),
    ],
)
def test_regions_as_the_option_takes_them(regions: dict[str, tuple[int, ...]], text: str) -> None:
    assert spelled(regions) == text
