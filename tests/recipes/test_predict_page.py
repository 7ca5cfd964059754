"""The page of a folder of masks: of what the record names and is still there."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.events import Event, Wrote, finish
from mriseg.io.runs import Run
from mriseg.recipes.predict import PredictOptions, PredictReport, predict
from mriseg.recipes.predict_page import page_path
from mriseg.testing import phantoms
from tests.pages import Elements, checked

QUICK = PredictOptions(flips=False, adapt=False, refine=False)


def read(path: Path) -> Elements:
    return checked(path.read_text(encoding="utf-8"))


def test_kept_edited_removed_and_skipped_masks(trained: Run, cpu: Backend, tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "scans", 3, shape=(8, 40, 36))
    out, events = tmp_path / "masks", list[Event]()

    def again(options: PredictOptions = QUICK) -> PredictReport:
        events.clear()
        return finish(predict(tmp_path / "scans", out, trained, cpu, options), events.append)

    first, second, third = (result.mask for result in again().results)
    assert events[-1] == Wrote(out / "report.html", "report")
    page = read(out / "report.html")
    assert len(page.all("img")) == 3 and len(page.all("article")) == 3
    assert "edited since" not in page.text

    report = again()
    assert all(result.kept for result in report.results) and report.page == out / "report.html"
    assert len(read(out / "report.html").all("img")) == 3

    image = nib.load(first)
    nib.save(nib.Nifti1Image(np.ones(image.shape, np.uint8), image.affine), first)  # type: ignore[attr-defined]
    for path in (second, second.with_name(f"{third.name.removesuffix('.nii.gz')}.png")):
        path.unlink()
    (tmp_path / "scans" / second.name.removesuffix(".nii.gz")).rename(tmp_path / "gone")
    again()
    page = read(out / "report.html")
    assert second.name not in page.text and "edited since" in page.text
    assert "which mriseg" not in page.text and len(page.all("article")) == 2
    assert "Left out" in page.text and "--overwrite" in page.text


@pytest.mark.parametrize(
    ("record", "page"),
    [("masks/report.json", "masks/report.html"), ("my.mask.report.json", "my.mask.report.html")],
)
def test_the_page_lies_beside_the_record(record: str, page: str) -> None:
    assert page_path(Path(record)) == Path(page)


def test_without_overlays_there_are_tables_alone(
    trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    phantoms.write_brats(tmp_path / "scans", 1, shape=(8, 40, 36))
    options = PredictOptions(flips=False, adapt=False, refine=False, overlays=False)
    one = tmp_path / "m.nii.gz"
    report = finish(predict(tmp_path / "scans", one, trained, cpu, options))
    assert report.page == tmp_path / "m.report.html"
    page = read(report.page)
    assert not page.all("img") and len(page.all("table")) == 1
