"""Masks of one label each as one label map, and tables of labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mriseg.core.bids_labels import joined_regions, lookup_text, named_regions, read_lookup
from mriseg.core.regions import region_masks
from mriseg.errors import InputError


@given(arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 9))))
def test_masks_come_back_from_the_joined_map(masks: np.ndarray) -> None:
    labels = [f"l{number}" for number in range(len(masks))]
    ordered, regions, names = joined_regions(labels)
    assert ordered == labels
    joined = sum(mask.astype(np.uint8) << number for number, mask in enumerate(masks))
    assert np.array_equal(region_masks(np.asarray(joined), regions), masks)
    assert {*np.unique(joined)} <= {0, *names}


def test_tumour_regions_come_first() -> None:
    ordered, regions, names = joined_regions({"ET", "WT", "TC", "AA"})
    assert ordered == ["WT", "TC", "ET", "AA"]
    assert regions["WT"] == (1, 3, 5, 7, 9, 11, 13, 15) and names[5] == "WT+ET"


class TestTables:
    def test_one_that_names_its_labels(self) -> None:
        lookup = read_lookup("\ufeffindex\tname\n0\tBackground\n1\tGM / cortex\n3\tWM\n", "t")
        assert lookup == {1: ("GM / cortex", ()), 3: ("WM", ())}
        regions, names = named_regions(lookup)
        assert regions == {"foreground": (1, 3), "GM - cortex": (1,), "WM": (3,)}
        assert names == {1: "GM / cortex", 3: "WM"}

    @pytest.mark.parametrize("ncr", ["necrosis", "NCR/NET", "Necrotic core"])
    def test_one_of_the_tissues_of_brats(self, ncr: str) -> None:
        regions, _ = named_regions(
            {1: (ncr, ()), 2: ("peritumoral edema", ()), 3: ("enhancing tumor", ())}
        )
        assert [regions[name] for name in ("WT", "TC", "ET")] == [(1, 2, 3), (1, 3), (3,)]

    def test_one_of_a_part_of_them_is_taken_as_it_is(self) -> None:
        regions, _ = named_regions({1: ("edema", ())})
        assert "WT" not in regions and regions["foreground"] == (1,)

    def test_one_that_mriseg_wrote(self) -> None:
        labels = [
            (1, "TC outside ET", (1, 2, 3)),
            (2, "WT outside TC", (4, 5, 6)),
            (4, "ET", (7, 8, 9)),
        ]
        inside = {1: ["WT", "TC"], 2: ["WT"], 4: ["WT", "TC", "ET"]}
        text = lookup_text(labels, inside)
        assert text.splitlines()[1] == "1\tTC outside ET\t#010203\tWT,TC"
        regions, names = named_regions(read_lookup(text, "t"))
        assert [regions[name] for name in ("WT", "TC", "ET")] == [(1, 2, 4), (1, 4), (4,)]
        assert names[2] == "WT outside TC"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "index\tname\n",
            "index\tname\nx\ty\n",
            "name\na\n",
            "index\tname\n256\ta\n",
            "index\tname\n0\tBackground\n",
            "index\tname\n1\t\n",
        ],
    )
    def test_one_that_is_none(self, text: str) -> None:
        with pytest.raises(InputError, match="^t.tsv (is not a table|names no label)"):
            read_lookup(text, "t.tsv")
