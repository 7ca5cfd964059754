from __future__ import annotations

import shutil
from pathlib import Path

from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.runs import Run, open_run
from mriseg.recipes.about import Heard
from mriseg.recipes.run_page import write_page
from mriseg.report.pages.training import Progress
from tests.pages import checked, png


def test_a_run_has_its_page_with_slices_and_transfer(trained: Run, tmp_path: Path) -> None:
    shutil.copy(trained.path / "run.json", tmp_path / "run.json")
    run, progress = open_run(tmp_path), Progress(trained.read_log(), 0.5, 1)
    write_page(run, progress, Heard(["said"]), None)
    page = checked((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "said" in page.text and "augment.flip" in page.text and not page.all("img")
    (tmp_path / "slices.png").write_bytes(png())
    write_sealed_json(tmp_path / "transfer.json", {"counts": {"kept": 3}})
    write_page(run, progress, Heard(), tmp_path / "slices.png")
    page = checked((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "3 kept" in page.text and len(page.all("img")) == 1


def test_a_training_leaves_one(trained: Run) -> None:
    page = checked((trained.path / "report.html").read_text(encoding="utf-8"))
    assert "It ended:" in page.text and page.all("svg") and page.all("img")
