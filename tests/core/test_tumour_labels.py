from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.tumour_labels import label_counts, numbering, renumbered
from tests import strategies


def relabelled(values: list[int], name: str, *stems: str) -> tuple[list[int], bool]:
    """The labels that ``values`` become, and whether there is a notice."""
    labels = np.array(values, dtype=np.uint8)
    plan = numbering(label_counts(labels).keys(), name, stems)
    return renumbered(labels, plan.renamed).tolist(), bool(plan.notice)


class TestLabels:
    """The table in the reader's docstring, by the names of each year."""

    def test_2017_to_2021(self) -> None:
        assert relabelled([0, 1, 2, 4], "Brats17_TCIA_105_1") == ([0, 1, 2, 4], False)

    def test_2015(self) -> None:
        assert relabelled([0, 1, 2, 3, 4], "anything") == ([0, 1, 2, 3, 4], False)
        for name in ("brats_2013_pat0001_1", "brats_tcia_pat105_0001"):
            assert relabelled([1, 3], name) == ([1, 3], False)
        assert relabelled([1, 3], "x", "VSD.Brain.XX.O.OT.1") == ([1, 3], False)

    def test_2023(self) -> None:
        assert relabelled([0, 1, 2, 3], "BraTS-GLI-00000-000") == ([0, 1, 2, 4], False)
        assert relabelled([0, 1, 2, 3], "x", "a-t1n") == ([0, 1, 2, 4], False)

    def test_2024(self) -> None:
        assert relabelled([1, 2, 3, 4], "BraTS-GLI-00000-100") == ([1, 2, 4, 5], False)
        assert relabelled([1, 2, 4], "BraTS-GLI-00000-100") == ([1, 2, 5], True)
        # Only the case's name is new, not the scheme, where it may be a renamed older set.
        assert relabelled([1, 2, 4], "x", "a_t2f") == ([1, 2, 4], False)

    def test_a_3_of_no_known_year_is_reported(self) -> None:
        assert relabelled([0, 2, 3], "anything") == ([0, 2, 4], True)

    def test_paediatric_labels_give_the_whole_tumour_alone(self) -> None:
        assert relabelled([1, 2, 3, 4], "BraTS-PED-00001-000") == ([1, 2, 3, 4], False)
        assert numbering({1, 2, 3}, "BraTS-PED-00001-000").regions == ("WT",)
        assert numbering({1, 2, 3}, "BraTS-GLI-00001-000").regions is None

    def test_labels_of_something_else_are_kept(self) -> None:
        assert relabelled([3, 17], "x") == ([3, 17], False)
        assert relabelled([0, 1, 2], "BraTS-GLI-00000-000") == ([0, 1, 2], False)

    @given(
        strategies.label_maps(values=(0, 1, 2, 3, 4, 5)), st.sampled_from(["x", "BraTS-GLI-1-0"])
    )
    def test_the_background_and_the_tumour_stay_apart(self, labels: Any, name: str) -> None:
        renamed = numbering(label_counts(labels).keys(), name).renamed
        canonical_map = renumbered(labels, renamed)
        np.testing.assert_array_equal(canonical_map > 0, labels > 0)


def test_counts_leave_out_the_background() -> None:
    assert label_counts(np.array([[0, 3], [3, 255]], dtype=np.uint8)) == {3: 2, 255: 1}
    assert label_counts(np.zeros((2, 2), np.uint8)) == {}


def test_values_are_renumbered_all_at_once() -> None:
    """3 becomes 4 and 4 becomes 5: no voxel goes through both."""
    labels = np.array([0, 3, 4], dtype=np.uint8)
    assert renumbered(labels, {3: 4, 4: 5}).tolist() == [0, 4, 5]
    assert labels.tolist() == [0, 3, 4]
