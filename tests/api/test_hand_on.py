"""Handing a model on from Python."""

from __future__ import annotations

from pathlib import Path

import mriseg


def test_export_and_share(folder: Path) -> None:
    exported = mriseg.export(folder / "run", out=folder / "model.pt")
    assert exported.path == folder / "model.pt" and exported.path.is_file()
    shared = mriseg.share(str(folder / "run"), folder / "shared")
    assert mriseg.open_run(shared.path).manifest.regions
