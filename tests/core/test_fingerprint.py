"""A scan is recognised however it was stored; no two patients are mistaken for one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.core.fingerprint import SAME, Fingerprint, alike, fingerprint
from mriseg.core.intensity import foreground
from mriseg.core.prepare import content_digest, prepare
from mriseg.core.volume import Geometry
from mriseg.io import readers
from mriseg.io.readers import ReaderOptions
from mriseg.testing import phantoms

Images = Mapping[str, NDArray[Any]]
SHAPE = (24, 48, 40)
IDENTITY = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
GEOMETRY = Geometry(SHAPE, IDENTITY, (0, 1, 2), (False, False, False))


def taken(images: Images, geometry: Geometry = GEOMETRY) -> Fingerprint:
    shape = next(iter(images.values())).shape
    z, y, x = shape
    return fingerprint(prepare(images, None, replace(geometry, shape=(z, y, x))))


def similarity(first: Fingerprint, second: Fingerprint) -> float:
    (pair,) = alike([first], [second], threshold=-1)
    return pair.similarity


def a_head(seed: int, **options: Any) -> dict[str, NDArray[Any]]:
    images, _ = phantoms.head(np.random.default_rng([7, seed]), SHAPE, **options)
    return {name.upper(): image for name, image in images.items()}


def restripped(images: Images, rim: int) -> dict[str, NDArray[np.float32]]:
    """As BraTS 2013 publishes scans: z-scores, a background that is not 0, another rim."""
    mask = ndimage.binary_erosion(foreground(list(images.values())), iterations=rim)
    stripped = {}
    for name, image in images.items():
        values = (image - image[mask].mean()) / image[mask].std()
        stripped[name] = np.where(mask, values, values[mask].min() - 1).astype(np.float32)
    return stripped


@settings(max_examples=10)
@given(
    st.integers(0, 99),
    st.floats(1e-3, 1e4),
    st.floats(-1e3, 1e3),
    st.sampled_from(("T1", "T1CE", "T2", "FLAIR")),
)
def test_scale_and_offset_of_intensities_do_not_count(
    seed: int, scale: float, offset: float, modality: str
) -> None:
    image = a_head(seed)[modality].astype(np.float64)
    other = taken({modality: np.where(image > 0, image * scale + offset, offset - 1)})
    assert similarity(taken({modality: image}), other) > 0.99


@settings(max_examples=10)
@given(st.integers(0, 99), st.integers(0, 99))
def test_the_similarity_is_symmetric_and_1_to_itself(first: int, second: int) -> None:
    a, b = taken(a_head(first)), taken(a_head(second))
    assert similarity(a, a) == 1
    assert similarity(a, b) == similarity(b, a) <= 1
    assert (similarity(a, b) >= SAME) == (first == second)


def test_a_few_more_voxels_at_the_rim_do_not_count() -> None:
    """A neck that one stripping leaves and another cuts moves the box, not what is in it."""
    images = a_head(0, modalities=("t1", "flair"))
    longer = {name: image.copy() for name, image in images.items()}
    for image in longer.values():
        image[:3, 22:26, 18:22] = image[12, 22:26, 18:22]
    first, second = (prepare(given, None, GEOMETRY) for given in (images, longer))
    assert second.box.shape[0] > first.box.shape[0]
    assert similarity(fingerprint(first), fingerprint(second)) > 0.97


def test_modalities_that_only_one_has_do_not_count() -> None:
    images = a_head(0)
    whole = taken(images)
    for name in images:
        alone = taken({name: images[name]})
        assert similarity(whole, alone) > 0.99
    assert similarity(taken({"T1": images["T1"]}), taken({"T2": images["T1"]})) == 0
    assert similarity((), whole) == 0 and not alike([(), ()])


def test_pairs_are_found_within_a_list_and_between_two() -> None:
    a, b, c = (taken(a_head(seed, modalities=("t1", "flair"))) for seed in range(3))
    assert [pair[:2] for pair in alike([a, b, a, c, b])] == [(0, 2), (1, 4)]
    assert [pair[:2] for pair in alike([c, a], [a, b, c])] == [(0, 2), (1, 0)]
    assert alike([a], []) == [] == alike([])


def test_a_thousand_cases_are_compared_at_once() -> None:
    rng = np.random.default_rng(0)
    base = [taken(a_head(seed, modalities=("t1",))) for seed in range(2)]
    # Signs drawn at random are alike by chance alone.
    drawn = [(("T1", b64encode(rng.bytes(256)).decode()),) for _ in range(1000)]
    assert [pair[:2] for pair in alike([base[0], *drawn, base[1], base[0]])] == [(0, 1002)]


def test_a_case_without_structure_has_no_fingerprint() -> None:
    rng = np.random.default_rng(0)
    flat = np.zeros(SHAPE, dtype=np.float32)
    flat[4:20, 8:40, 8:32] = 1
    flat[4:20, 8:40, 8:32] += 1e-7 * rng.normal(size=(16, 32, 24))
    case = prepare({"T1": a_head(0)["T1"]}, None, GEOMETRY)
    assert fingerprint(replace(case, image=(flat[None] > 0).astype(np.float16))) == ()
    assert fingerprint(replace(case, image=np.zeros((1, *SHAPE), np.float16))) == ()


def test_a_single_slice_has_one() -> None:
    images = {name: image[12:13] for name, image in a_head(0).items()}
    other = {name: image[12:13] for name, image in a_head(1).items()}
    assert similarity(taken(images), taken(images)) == 1
    assert similarity(taken(images), taken(other)) < SAME


def _all(folder: Path) -> dict[str, Fingerprint]:
    _, listing = readers.find(folder, "auto", ReaderOptions(None))
    taken_of = {}
    for case in listing.cases:
        loaded = case.load()
        taken_of[case.name] = taken(loaded.images, loaded.geometry)
    return taken_of


@pytest.mark.slow
@pytest.mark.realdata
def test_no_two_hippocampus_crops_are_mistaken_for_one(hippocampus_dir: Path) -> None:
    fingerprints = _all(hippocampus_dir)
    assert len(fingerprints) > 200
    assert alike(list(fingerprints.values()), threshold=SAME - 0.05) == []


@pytest.mark.slow
@pytest.mark.realdata
def test_no_two_patients_are_mistaken_for_one(
    lgg_dir: Path, brats_dir: Path, brats_two_modalities_dir: Path, ms_dir: Path
) -> None:
    fingerprints = _all(lgg_dir) | _all(brats_dir) | _all(brats_two_modalities_dir) | _all(ms_dir)
    assert len(fingerprints) >= 48
    assert alike(list(fingerprints.values()), threshold=SAME - 0.05) == []


@pytest.mark.realdata
def test_a_scan_republished_as_in_brats_2013_is_recognised(brats_dir: Path) -> None:
    _, listing = readers.find(brats_dir, "brats", ReaderOptions(None))
    [case] = [case for case in listing.cases if case.name == "BraTS19_2013_10_1"]
    loaded = case.load()
    two = {name: loaded.images[name] for name in ("T1CE", "FLAIR")}
    other = restripped(two, rim=1)
    assert content_digest(loaded.images) != content_digest(other)
    assert similarity(taken(loaded.images, loaded.geometry), taken(other, loaded.geometry)) > 0.95


def test_the_phantoms_that_other_tests_use_as_patients_differ() -> None:
    fingerprints = [taken(a_head(seed)) for seed in range(8)]
    assert all(similarity(a, b) < SAME for a, b in combinations(fingerprints, 2))
