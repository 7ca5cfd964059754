from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mriseg.io.writers.names import file_stems


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.lists(st.text(), max_size=3))
def test_every_case_has_a_file_of_its_own(cases: list[str], regions: list[str]) -> None:
    stems = file_stems(cases, regions)
    assert set(stems) == set(cases)
    assert len({stem.casefold() for stem in stems.values()}) == len(cases)
    for stem in stems.values():
        assert stem not in ("", ".", "..") and not {*stem} & {*'/\\:*?"<>|\0\n'}
        assert not stem.startswith(".") and len(stem.encode()) <= 110


def test_plain_names_stay_as_they_are() -> None:
    names = ["BraTS20_Training_001", "TCGA_CS_4941", "x__y", "case 1", "-x", "é"]
    assert file_stems(names, ["WT"]) == {name: name for name in names}
