"""The regions that are asked for, and cases whose labels cannot give them."""

from __future__ import annotations

import numpy as np
import pytest

from mriseg.core.orientation import geometry_of
from mriseg.core.tumour_labels import TUMOUR_LABELS, TUMOUR_REGIONS
from mriseg.errors import ConfigError, InputError
from mriseg.io.readers import Listing, RawCase
from mriseg.recipes.labels import checked_labels, means_own_labels, wanted_regions

TUMOURS = Listing((), TUMOUR_REGIONS, TUMOUR_LABELS, numbering="tumour")
OWN = Listing((), {}, {})


def raw(*values: int, regions: tuple[str, ...] | None = None) -> RawCase:
    labels = np.array(values, dtype=np.uint8).reshape(1, 1, -1)
    counts = {value: values.count(value) for value in {*values} - {0}}
    return RawCase({}, labels, geometry_of(labels.shape, np.eye(4)), values=counts, regions=regions)


def test_the_default_is_the_first() -> None:
    assert wanted_regions(None, TUMOURS) == {"WT": (1, 2, 3, 4)}
    assert wanted_regions("ET", TUMOURS) == {"ET": (4,)}
    assert wanted_regions("x=3", OWN) == {"x": (3,)}


def test_numbers_are_the_files_own_where_no_name_says_otherwise() -> None:
    assert means_own_labels("ET=3")
    assert not means_own_labels("WT,rim=2")
    assert not means_own_labels("WT")
    assert not means_own_labels(None)


def test_names_and_numbers_that_years_give_differently_are_not_mixed() -> None:
    assert wanted_regions("WT,rim=2", TUMOURS)["rim"] == (2,)
    with pytest.raises(ConfigError, match="WT is by mriseg's own numbering of BraTS, and x=3"):
        wanted_regions("WT,x=3", TUMOURS)
    with pytest.raises(ConfigError, match="name the regions by their labels"):
        wanted_regions(None, OWN)


def test_paediatric_labels_tell_the_whole_tumour_alone() -> None:
    case = raw(0, 1, 4, regions=("WT",))
    assert checked_labels(case, {"WT": (1, 2, 3, 4)}, own_labels=False) is case
    with pytest.raises(InputError, match="do not tell TC, ET: paediatric"):
        checked_labels(case, dict(TUMOUR_REGIONS), own_labels=False)
    assert checked_labels(case, {"ET": (1,)}, own_labels=True) is case


def test_255_is_the_only_region() -> None:
    checked = checked_labels(raw(0, 255), {"WT": (1, 2)}, own_labels=False)
    assert checked.labels is not None
    assert checked.labels.ravel().tolist() == [0, 1]
    assert checked.renamed == {255: 1}
    assert "255 is taken as WT" in checked.notices[0]


def test_an_unlabelled_case_passes() -> None:
    case = RawCase({}, None, geometry_of((1, 1, 2), np.eye(4)))
    assert checked_labels(case, {"WT": (1,)}, own_labels=False) is case
