"""A BIDS App from Python."""

from __future__ import annotations

from pathlib import Path

import mriseg
from tests import bids


def test_one_participant(folder: Path, tmp_path: Path) -> None:
    bids.write(tmp_path / "raw", modalities=[*bids.SUFFIXES], shape=(12, 40, 36))
    options = mriseg.PredictOptions(overlays=False, flips=False)
    report = mriseg.bids(
        tmp_path / "raw", tmp_path / "out", folder / "run", options,
        sessions=mriseg.Sessions(("02",)), validates=False, backend="cpu",
    )  # fmt: skip
    assert [result.case for result in report.results] == ["sub-02"]
    assert report.folder == tmp_path / "out"
