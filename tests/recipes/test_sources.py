from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.core.parts import Part
from mriseg.errors import CaseError, ConfigError, InputError
from mriseg.io.store import Store
from mriseg.recipes.sources import choose, list_sources


def test_files_and_a_store_give_the_same_cases(brats_source: Path, brats_store: Store) -> None:
    files = list_sources(brats_source, "auto", None).cases
    stored = list_sources(Path(brats_store.location), "auto", None).cases
    assert list(files) == list(stored) == sorted(files)
    name = next(iter(files))
    (one, _), (other, _) = files[name].load(), stored[name].load()
    assert one.labels is None  # a prediction does not see the truth
    assert one.modalities == other.modalities and one.box == other.box
    np.testing.assert_array_equal(one.image, other.image)
    assert files[name].files and not stored[name].files


def test_a_store_names_its_own_channels(brats_store: Store) -> None:
    with pytest.raises(ConfigError, match="channels"):
        list_sources(Path(brats_store.location), "auto", ["T1"])


def test_a_case_that_cannot_be_read_says_so_when_it_is(brats_source: Path, tmp_path: Path) -> None:
    for case in sorted(brats_source.iterdir())[:2]:
        target = tmp_path / case.name
        target.mkdir()
        for file in case.iterdir():
            target.joinpath(file.name).write_bytes(file.read_bytes())
    broken = sorted(tmp_path.iterdir())[0]
    for file in broken.glob("*flair*"):
        file.write_bytes(b"no image")
    cases = list_sources(tmp_path, "auto", None).cases
    assert len(cases) == 2
    with pytest.raises(CaseError) as raised:
        cases[broken.name].load()
    assert raised.value.case == broken.name


def test_cases_are_chosen_by_name(brats_source: Path) -> None:
    cases = list_sources(brats_source, "auto", None).cases
    first, second, *_ = cases
    assert list(choose(brats_source, cases, [second, first])) == [second, first]
    assert choose(brats_source, cases, None) == cases
    with pytest.raises(InputError, match="holds no case nobody; it has"):
        choose(brats_source, cases, ["nobody"])
    with pytest.raises(InputError, match="no case is named"):
        choose(brats_source, cases, [])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        list_sources(tmp_path, "auto", None)


def test_parts_of_the_cases_are_all_of_them_once(brats_source: Path) -> None:
    listed = list_sources(brats_source, "auto", None).cases
    parts = [choose(brats_source, listed, Part(number, 2)) for number in (1, 2)]
    assert sorted([*parts[0], *parts[1]]) == list(listed) and all(parts)
    assert choose(brats_source, listed, Part(99, 99)) == {}
