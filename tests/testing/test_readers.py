"""The suite for readers refuses a reader that breaks what it promises."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mriseg.io.readers import Case, Listing, RawCase, ReaderOptions
from mriseg.io.readers.nnunet import READER
from mriseg.testing import ReaderContract, Truth, phantoms

SHAPE = (4, 6, 5)


class Suite(ReaderContract):
    """Not collected by pytest: its tests are called one by one, on readers that are wrong."""

    __test__ = False
    reader = READER


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    phantoms.write_nnunet(tmp_path, 2, shape=SHAPE)
    truth = {}
    for index in range(2):
        images, brats = phantoms.head(np.random.default_rng([0, index]), SHAPE, modalities=("t1",))
        labels = np.select([brats == 2, brats > 0], [2, 1], 0)
        truth[f"phantom_{index + 1:03d}"] = ({"T1": np.rint(images["t1"])}, labels)
    return truth


@pytest.fixture
def listing(tmp_path: Path, truth: Truth) -> Listing:
    return READER.find(tmp_path, ReaderOptions())


def changed(case: Case, **changes: object) -> RawCase:
    return replace(case.load(), **changes)  # type: ignore[arg-type]


def with_loads(listing: Listing, **changes: object) -> Listing:
    """The listing, but that each case loads with these attributes changed."""
    cases = [replace(case, load=partial(changed, case, **changes)) for case in listing.cases]
    return replace(listing, cases=tuple(cases))


def test_a_right_reader_passes(listing: Listing, truth: Truth) -> None:
    Suite().test_it_finds_every_case_once_in_order(listing, truth)
    Suite().test_canonical_arrays_are_what_was_written(listing, truth)
    Suite().test_arrays_are_on_one_grid_and_finite(listing)
    Suite().test_any_damaged_file_is_named_by_a_case_error(listing)


def test_cases_out_of_order_are_refused(listing: Listing, truth: Truth) -> None:
    with pytest.raises(AssertionError):
        Suite().test_it_finds_every_case_once_in_order(
            replace(listing, cases=listing.cases[::-1]), truth
        )


def test_other_labels_are_refused(listing: Listing, truth: Truth) -> None:
    wrong = with_loads(listing, labels=np.zeros(SHAPE[::-1], dtype=np.uint8))
    with pytest.raises(AssertionError):
        Suite().test_canonical_arrays_are_what_was_written(wrong, truth)


def test_labels_of_another_type_are_refused(listing: Listing) -> None:
    wrong = with_loads(listing, labels=np.zeros(SHAPE[::-1], dtype=np.int64))
    with pytest.raises(AssertionError):
        Suite().test_arrays_are_on_one_grid_and_finite(wrong)


def test_a_damaged_file_that_goes_unnoticed_is_refused(listing: Listing) -> None:
    loaded = listing.cases[0].load()
    deaf = replace(listing.cases[0], load=lambda: loaded)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        Suite().test_any_damaged_file_is_named_by_a_case_error(replace(listing, cases=(deaf,)))


def test_a_case_that_cannot_be_pickled_is_refused(listing: Listing) -> None:
    case = replace(listing.cases[0], load=lambda: listing.cases[0].load())
    with pytest.raises(
        (AttributeError, TypeError), match="[Cc]an't pickle|cannot pickle|local obj"
    ):
        Suite().test_a_case_can_be_sent_to_another_process(replace(listing, cases=(case,)))


def test_an_unregistered_reader_is_refused() -> None:
    suite = Suite()
    suite.reader = type("Other", (type(READER),), {})()
    with pytest.raises(AssertionError):
        suite.test_it_is_registered_by_its_name()
