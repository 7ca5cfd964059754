"""Using a model from Python."""

from __future__ import annotations

from pathlib import Path

import mriseg


def test_predict_and_evaluate(folder: Path) -> None:
    options = mriseg.PredictOptions(overlays=False)
    case = "BraTS20_Training_001"
    predicted = mriseg.predict(
        folder / "brats", folder / "masks", folder / "run", options, cases=case, backend="cpu"
    )
    assert [result.case for result in predicted.results] == [case]
    written = sorted(path.name for path in (folder / "masks").iterdir())
    assert written == [
        f"{case}.nii.gz",
        "labels-itksnap.txt",
        "labels-slicer.ctbl",
        "report.html",
        "report.json",
        "volumes.csv",
        "volumes.json",
    ]

    scores = mriseg.evaluate(
        str(folder / "out.zarr"), str(folder / "run"), include_seen=True, cases=[case],
        backend="cpu",
    )  # fmt: skip
    files = mriseg.evaluate_masks(folder / "masks", folder / "brats", regions="WT=1+2+3+4")
    assert files.mean("WT") == 0 or files.mean("WT") <= 1
    assert [row.case for row in scores.scores] == [row.case for row in files.scores] == [case]


def test_finish_runs_a_recipe(folder: Path) -> None:
    from mriseg.recipes.evaluate_masks import evaluate_masks

    truths = folder / "brats"
    report = mriseg.finish(evaluate_masks(truths / "BraTS20_Training_002", truths))
    assert report.scores
