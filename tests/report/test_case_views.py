"""Volumes of cases wait on disk for their page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mriseg.core.display import grey_levels
from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Box
from mriseg.report import case_views, viewer
from mriseg.report.case_views import CaseViews
from mriseg.report.page import Viewer
from mriseg.report.viewer import ViewedCase, ViewedImage, packed, page_viewer


@pytest.fixture
def case() -> ViewedCase:
    geometry = geometry_of((4, 5, 6), np.eye(4))
    box = Box((0, 0, 0), geometry.canonical_shape)
    image = ViewedImage("T1", grey_levels(np.arange(120.0).reshape(box.shape)))
    return ViewedCase("p1", [image], geometry, box)


@pytest.fixture
def _script(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if NiiVue were there."""
    for module in (case_views, viewer):
        monkeypatch.setattr(module, "niivue", lambda: "/* NiiVue */")


@pytest.mark.usefixtures("_script")
def test_each_case_comes_back_as_it_was_added(case: ViewedCase, tmp_path: Path) -> None:
    views = CaseViews(tmp_path)
    cases = {name: replace(case, title=name) for name in ("a/b.nii.gz", "x" * 300, "")}
    for name, each in cases.items():
        views.add(name, lambda each=each: each)
    assert len(list(tmp_path.iterdir())) == 3
    for name, each in cases.items():
        viewer_of = views.viewer(name)
        assert viewer_of is not None and name in views
        for opened in (False, True):
            assert viewer_of(opened) == page_viewer(packed(each), opened=opened)
        assert views.size(name) == len(packed(each).content)
    views.add("", lambda: replace(case, title="again"))
    again = views.viewer("")
    assert again is not None and len(list(tmp_path.iterdir())) == 3
    shown = again(False)
    assert isinstance(shown, Viewer) and "again: three planes" in shown.markup


@pytest.mark.usefixtures("_script")
def test_a_case_that_was_not_added_has_no_viewer(tmp_path: Path) -> None:
    views = CaseViews(tmp_path)
    assert views.viewer("a") is None and views.size("a") == 0 and "a" not in views


def test_without_niivue_nothing_is_packed_and_each_case_says_so(
    case: ViewedCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_views, "niivue", lambda: None)
    views = CaseViews(tmp_path)
    views.add("a", lambda: pytest.fail("it was packed"))
    viewer_of = views.viewer("a")
    assert views.absent and viewer_of is not None and viewer_of(True) == viewer.ABSENT
    assert not list(tmp_path.iterdir())
