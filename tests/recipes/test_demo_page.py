"""The page of a demo without a demo: a tiny model in the place of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.events import finish
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes import demo_page
from mriseg.recipes.about import Heard
from mriseg.recipes.demo_page import page_written
from tests.pages import checked


def test_both_models_are_shown_beside_the_truth(
    trained: Run, brats_store: Store, cpu: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_page, "open_run", lambda _: trained)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "report.html").touch()
    path = finish(page_written(tmp_path, brats_store, trained, 60.0, Heard(["said"]), cpu))
    page = checked(path.read_text(encoding="utf-8"))
    assert len(page.all("img")) == 2 and "said" in page.text
    links = {a["href"] for a in page.all("a")}
    assert "masks/report.html" in links and "run/report.html" not in links
