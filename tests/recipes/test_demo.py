"""The demo on its sample, with a moment's training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from mriseg import api
from mriseg.errors import ConfigError
from mriseg.io.sample import sample_dir
from tests.pages import checked


@pytest.mark.slow
def test_the_whole_chain_where_a_demo_was_before(tmp_path: Path) -> None:
    api.preprocess(sample_dir(), tmp_path / "sample.zarr", workers=1)
    (tmp_path / "notes.txt").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    events: list[object] = []
    report = api.demo(tmp_path, minutes=0.01, backend="cpu", on_event=events.append)
    assert report.mask.is_file() and callable(torch.jit.load(report.export.path))
    with Image.open(report.picture) as picture:
        assert min(picture.size) > 100
    [score] = report.scores.scores
    assert score.case in report.picture.name and score.unit == "px"
    assert not report.scores.seen
    page = checked(report.page.read_text(encoding="utf-8"))
    assert "it was trained on this patient" in page.text and len(page.all("img")) == 2
    local = [a["href"] or "" for a in page.all("a") if not (a["href"] or "").startswith("#")]
    assert len(local) == 5 and all((report.page.parent / link).is_file() for link in local)
    assert api.open_run(report.transfer.run).manifest.modalities == ("FLAIR",)
    assert [text[:4] for e in events if (text := getattr(e, "text", ""))[1:6] == " of 6"] == [
        f"{n} of" for n in range(1, 7)
    ]

    # Nothing that was there is gone or made again, but for the store's report.
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {path.name for path in before if after[path] != before[path]} <= {
        "report.json",
        "report.html",
    }


def test_training_time_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="minutes = -1"):
        api.demo(tmp_path, minutes=-1, backend="cpu")
