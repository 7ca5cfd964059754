"""The scans of a session onto one grid: resampled, aligned and stripped."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mriseg.core.preparation import UNPREPARED, Preparation
from mriseg.core.volume import Geometry
from mriseg.errors import ConfigError, InputError, UnknownNameError
from mriseg.events import completed, finish, reporting
from mriseg.io import readers
from mriseg.io.readers import RawCase
from mriseg.recipes.sessions import brought_together, check_preparation, prepared
from mriseg.strippers import STRIPPERS, Training
from tests.sessions import grid_of, head, rigid, write_session

FINE, THICK = grid_of((78, 90, 22), (2, 2, 6)), grid_of((52, 60, 44), (3, 3, 3))
MOVED = {"t1": rigid((4, -3, 6), (5, -4, 6))}


def loaded(folder: Path) -> RawCase:
    return readers.find(folder)[1].cases[0].load()


def correlation(one: Any, other: Any, inside: Any) -> float:
    return float(np.corrcoef(one[inside], other[inside])[0, 1])


def test_scans_of_two_grids_come_onto_the_finest_and_the_rest_stays(tmp_path: Path) -> None:
    raw = loaded(write_session(tmp_path / "a", {"t1": THICK, "flair": FINE}, labels_on="t1"))
    together, record = completed(brought_together(raw, UNPREPARED))
    assert together.geometry.shape == FINE.shape
    assert together.images["FLAIR"] is raw.images["FLAIR"]
    assert together.images["T1"].shape == FINE.shape
    assert record.reference == "FLAIR" and record.matters
    assert record.summary == "T1 resampled onto the grid of FLAIR"
    assert [text.partition(" (")[0] for text in together.notices] == [
        "T1 resampled onto the grid of its FLAIR",
        "its segmentation, on the grid of its T1, was resampled onto that of its FLAIR by the "
        "nearest voxel",
    ]
    images, labels, _ = head()
    assert together.labels is not None
    volume = np.count_nonzero(together.labels) * FINE.voxel_volume
    assert volume == pytest.approx(np.count_nonzero(labels) * 27, rel=0.05)
    assert set(np.unique(together.labels)) <= set(np.unique(labels))


def test_one_grid_is_left_to_the_bit(tmp_path: Path) -> None:
    raw = loaded(write_session(tmp_path / "a", {"t1": FINE, "flair": FINE}, labels_on="t1"))
    together, record = completed(brought_together(raw, UNPREPARED))
    assert together.labels is raw.labels and not record.matters
    assert all(together.images[name] is raw.images[name] for name in raw.images)
    assert (together.geometry, together.notices) == (raw.geometry, raw.notices)


def test_a_segmentation_on_no_scans_grid_is_refused(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "a", {"t1": THICK, "flair": FINE, "t2": THICK})
    write_session(tmp_path / "b", {"t2": grid_of((40, 60, 44), (3, 3, 3))}, labels_on="t2")
    (tmp_path / "b" / "b_seg.nii.gz").rename(folder / "a_seg.nii.gz")
    with pytest.raises(InputError, match="seg.nii.gz .40 x 60 x 44 .* is on the grid of none"):
        loaded(folder)


def test_a_segmentation_that_is_lost_on_the_way_is_refused(tmp_path: Path) -> None:
    raw = loaded(write_session(tmp_path / "a", {"t1": THICK, "flair": FINE}, labels_on="t1"))
    assert raw.labels is not None
    speck = np.zeros_like(raw.labels)
    speck[0, 0, 0] = 1  # In the corner between the centres of thicker slices.
    far = grid_of((40, 40, 10), (2, 2, 6))
    grids = {"T1": raw.places["T1"], "FLAIR": far}
    images = {"T1": raw.images["T1"], "FLAIR": np.ones(far.shape, np.float32)}
    raw = RawCase(images, speck, far, grids={"T1": grids["T1"]}, labels_on="T1")
    with pytest.raises(InputError, match="nothing of its segmentation is left on the grid"):
        completed(brought_together(raw, UNPREPARED))


def test_an_alignment_undoes_a_motion_and_the_mask_goes_back(tmp_path: Path) -> None:
    folder = write_session(
        tmp_path / "a", {"t1": THICK, "flair": FINE}, labels_on="t1", motions=MOVED
    )
    raw = loaded(folder)
    steps: list[str] = []
    work = brought_together(raw, Preparation(align="rigid"))
    together, record = finish(
        reporting(work, lambda share: steps.append(share.what) or share),  # type: ignore
        lambda _: None,
    )
    assert steps == ["aligning to FLAIR", "aligning T1", "resampling T1"]
    how = record.series["T1"].alignment
    assert how is not None and how.used and how.after > how.before
    wanted = np.array(MOVED["t1"])
    places = (
        np.argwhere(raw.images["FLAIR"] > 100) @ np.diag([-2, -2, 6]) + np.array(FINE.affine)[:3, 3]
    )
    error = np.array(how.motion) - wanted
    off = places @ error[:3, :3].T + error[:3, 3]
    # Voxels are 3 mm and 2 x 2 x 6 mm.
    assert np.linalg.norm(off, axis=1).mean() < 0.8
    assert "moved onto its reference: T1 by" in together.notices[1]
    # On the scan's own grid the labels are nearly those that were drawn on it.
    assert together.labels is not None and raw.labels is not None
    back = record.series["T1"].back(together.labels, together.geometry)
    both = np.count_nonzero((back > 0) & (raw.labels > 0))
    assert 2 * both / (np.count_nonzero(back) + np.count_nonzero(raw.labels)) > 0.9


class HalfStripper:
    """The upper half of a head."""

    name, summary, extra = "half", "the upper half", ""
    training = Training(("T2", "T1"), "phantoms", tumours=True, source="none")

    def ready(self) -> None:
        """Nothing is needed."""

    def brain(self, image: Any, geometry: Geometry, modality: str) -> Any:
        """Where the head is, in the upper half."""
        assert modality == "T1" and image.shape == geometry.shape
        upper = image > 100
        upper[..., : image.shape[2] // 2] = False
        return upper


HALF = HalfStripper()


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(STRIPPERS._targets, "half", f"{__name__}:HALF")
    return "half"


def test_one_brain_mask_is_applied_to_all_scans(tmp_path: Path, half: str) -> None:
    raw = loaded(write_session(tmp_path / "a", {"t1": THICK, "flair": FINE}, labels_on="flair"))
    case, together = completed(prepared(raw, Preparation(strip=half)))
    record = case.session
    assert record is not None and record.stripped_on == "T1" and record.brain is not None
    assert record.wanted.strip == "half"
    assert case.outline is not None and (case.outline.stripper, case.outline.modality) == (
        "half",
        "T1",
    )
    # Of the head as it was: outside the brain there is something.
    assert case.outline.head[~case.outline.brain].any()
    for image in together.images.values():
        assert not image[..., :11].any() and image[..., 11:].any()
    inside = together.images["T1"] != 0
    assert record.brain == pytest.approx(np.count_nonzero(inside) * 24 / 1000)
    assert any(
        text.startswith("stripped by half on its T1: a brain of") for text in together.notices
    )
    # Labels are left as they are: what is cut off is for the eye to see.
    assert together.labels is raw.labels


def test_what_is_missing_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="sharp.*deepbet"):
        check_preparation(Preparation(strip="sharp"))
    check_preparation(Preparation(align="rigid"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'--align: .*SimpleITK.* pip install "mriseg\[align\]"'):
        check_preparation(Preparation(align="rigid"))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    check_preparation(UNPREPARED)


def test_a_case_is_prepared_as_before_where_nothing_is_asked(tmp_path: Path) -> None:
    raw = loaded(write_session(tmp_path / "a", {"t1": FINE, "flair": FINE}))
    case, _ = completed(prepared(replace(raw, labels=None), UNPREPARED))
    assert case.modalities == ("T1", "FLAIR") and case.geometry == raw.geometry
