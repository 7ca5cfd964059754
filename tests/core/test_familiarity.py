"""A scan like those of the training has no flag; what is unlike is said in plain words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.familiarity import ScanFacts, TrainingScans, facts_of, training_scans, unlike
from mriseg.core.intensity import Normalisation
from mriseg.core.volume import Geometry
from mriseg.io.disk.schemas import as_json, checked

USUAL = ScanFacts((1.0, 1.0, 1.0), (130, 170, 140), {"T1": 0.3, "FLAIR": 0.5})

_SIZES = st.floats(0.3, 8)
_SIDES = st.integers(1, 600)
_FACTS = st.builds(
    ScanFacts,
    st.none() | st.tuples(_SIZES, _SIZES, _SIZES),
    st.tuples(_SIDES, _SIDES, _SIDES),
    st.dictionaries(st.sampled_from(["T1", "T2"]), st.floats(0, 1000)),
)


@given(st.lists(_FACTS, min_size=1, max_size=6))
def test_a_training_case_is_like_the_training_and_all_is_kept_as_json(
    scans: list[ScanFacts],
) -> None:
    training = training_scans(scans)
    assert all(unlike(scan, training) == () for scan in scans)
    assert checked(TrainingScans, as_json(training)) == training


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"spacing": (3.0, 3.0, 3.0), "extent": (43, 57, 47)},
            ["voxels of 3.0 mm, training had 1.0 to 1.0"],
        ),
        (
            {"spacing": (5.0, 1.0, 1.0), "extent": (26, 170, 140)},
            ["slices 5.0 mm apart, training had 1.0 to 1.0"],
        ),
        ({"extent": (60, 170, 140)}, ["60 mm from top to bottom, training had 130 to 130"]),
        ({"extent": (130, 170, 190)}, ["190 mm from side to side, training had 140 to 140"]),
        (
            {"variation": {"T1": 0.9, "FLAIR": 0.5, "T2": 7.0}},
            ["intensities of T1 vary by 0.90 of their mean, training had 0.30 to 0.30"],
        ),
        # Without a voxel size there are voxels to compare.
        ({"spacing": None, "extent": (130, 300, 140)}, ["300 voxels from front to back, training"]),
        ({"spacing": (1.1, 1.1, 1.1)}, []),
    ],
)
def test_what_is_unlike_is_said(change: dict[str, object], said: list[str]) -> None:
    texts = unlike(replace(USUAL, **change), training_scans([USUAL]))  # type: ignore[arg-type]
    assert len(texts) == len(said)
    assert all(text.startswith(part) for text, part in zip(texts, said, strict=True))


def test_a_training_without_voxel_sizes_compares_voxels_alone() -> None:
    training = training_scans([replace(USUAL, spacing=None)])
    assert training.spacing is None and training.extent_mm is None
    assert unlike(replace(USUAL, spacing=(9.0, 1.0, 1.0)), training) == ()


def test_the_facts_of_a_prepared_case() -> None:
    affine = (
        (2.0, 0.0, 0.0, 0.0),
        (0.0, 3.0, 0.0, 0.0),
        (0.0, 0.0, 4.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    )
    geometry = Geometry((8, 9, 10), affine, (2, 1, 0), (False, False, False))
    facts = facts_of(geometry, (5, 6, 7), ("T1", "T2"), Normalisation((10.0, 0.0), (5.0, 1.0)))
    assert facts == ScanFacts((4.0, 3.0, 2.0), (5, 6, 7), {"T1": 0.5, "T2": 1000.0})
    assert (
        facts_of(replace(geometry, unit="px"), (5, 6, 7), (), Normalisation((), ())).spacing is None
    )
