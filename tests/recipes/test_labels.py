"""The regions that are asked for, and cases whose labels cannot give them."""

from __future__ import annotations

import numpy as np
import pytest

from mriseg.core.orientation import geometry_of
from mriseg.core.prepare import prepare
from mriseg.core.tumour_labels import TUMOUR_LABELS, TUMOUR_REGIONS
from mriseg.errors import ConfigError, InputError
from mriseg.io.readers import Listing, RawCase
from mriseg.recipes.labels import (
    checked_labels,
    means_own_labels,
    refuse_brain_mask,
    wanted_regions,
)

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


def test_a_mask_of_the_brain_is_refused_whatever_its_name() -> None:
    rng = np.random.default_rng(0)
    images = {"T1": np.zeros((8, 12, 12), np.float32)}
    images["T1"][1:7, 2:10, 2:10] = rng.uniform(50, 99, (6, 8, 8))
    grid = geometry_of((8, 12, 12), np.eye(4))
    brain, lesion = (np.zeros((8, 12, 12), np.uint8) for _ in range(2))
    brain[1:7, 2:10, 2:10] = 1
    lesion[2:5, 3:6, 3:6] = 1
    for labels, values in ((lesion, {1: 27}), (brain, {1: 384})):
        loaded = RawCase(images, labels, grid, values=values)
        prepared = prepare(images, labels, grid)
        if labels is lesion:
            refuse_brain_mask(prepared, loaded)
        else:
            with pytest.raises(InputError, match="covers 100% of the brain, as a mask"):
                refuse_brain_mask(prepared, loaded)
    # Tissues of several values may cover all of it.
    refuse_brain_mask(prepared, RawCase(images, brain, grid, values={1: 9, 2: 375}))
