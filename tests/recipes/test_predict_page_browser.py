"""A page of masks in a real browser, as `predict` and `evaluate` leave it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.events import finish
from mriseg.io.runs import Run
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.report import html
from mriseg.report.viewer import viewer_script
from mriseg.testing import phantoms
from tests.browser import Opened, chromium, opened

QUICK = PredictOptions(flips=False, adapt=False, refine=False, threshold=0.3)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if viewer_script() is None:
        pytest.skip("the viewer was not fetched (scripts/viewer)")
    with chromium() as started:
        yield started


def voxels(state: Opened) -> int:
    """How many voxels the mask in the page's only viewer has."""
    state.page.wait_for_selector("details.viewer[data-ready]", timeout=60_000)
    count: int = state.page.evaluate(
        "document.querySelector('details.viewer').niivue.volumes"
        ".find((volume) => volume.name.startsWith('mask')).img"
        ".reduce((count, bits) => count + (bits ? 1 : 0), 0)"
    )
    return count


def test_a_case_by_itself_and_one_of_many(
    browser: Any, trained: Run, cpu: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = phantoms.write_brats(tmp_path / "scans", 2, shape=(8, 40, 36))
    del scans
    report = finish(predict(tmp_path / "scans", tmp_path / "one", trained, cpu, QUICK, cases=None))
    first, second = report.results

    def expected(mask: Path) -> int:
        return int(np.count_nonzero(np.asarray(nib.load(mask).dataobj)))  # type: ignore[attr-defined]

    # Two small cases are in one page, and start when they are opened.
    assert report.page is not None and not (tmp_path / "one" / html.FOLDER).exists()
    with opened(browser, report.page) as state:
        assert state.page.locator("details.viewer").count() == 2
        state.page.locator("details.viewer summary").first.click()
        assert voxels(state) == expected(first.mask) > 0
        assert state.requests == [report.page.as_uri()] and state.complaints == []

    # Where they are too many for it, each has a file, in which it starts at once.
    monkeypatch.setattr(html, "_MANY", 1)
    again = finish(predict(tmp_path / "scans", tmp_path / "one", trained, cpu, QUICK))
    assert all(result.kept for result in again.results)
    file = html.case_path(report.page, second.mask.name.removesuffix(".nii.gz"))
    written = file.stat().st_mtime_ns
    with opened(browser, file) as state:
        assert voxels(state) == expected(second.mask)
        assert state.requests == [file.as_uri()] and state.complaints == []

    # What shows the mask as it is stays; one that was edited is read and shown again.
    image = nib.load(first.mask)
    full = np.ones(image.shape, np.uint8)  # type: ignore[attr-defined]
    nib.save(nib.Nifti1Image(full, image.affine), first.mask)  # type: ignore[attr-defined]
    finish(predict(tmp_path / "scans", tmp_path / "one", trained, cpu, QUICK))
    assert file.stat().st_mtime_ns == written
    other = html.case_path(report.page, first.mask.name.removesuffix(".nii.gz"))
    with opened(browser, other) as state:
        assert voxels(state) > expected(second.mask)
