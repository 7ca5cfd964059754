"""From raw arrays to a network's, and a mask back onto the scan, voxel for voxel."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.core.prepare import content_digest, prepare
from mriseg.core.volume import Affine, canonical, uncanonical
from mriseg.errors import InputError
from mriseg.testing import phantoms
from tests.strategies import ORIENTATIONS, Orientation, oriented_affines

PLAIN = ORIENTATIONS[0]


@settings(max_examples=60)
@given(oriented_affines(), st.integers(0, 50), st.booleans())
def test_a_mask_goes_back_onto_the_scan_voxel_for_voxel(
    oriented: tuple[Orientation, Affine], seed: int, labelled: bool
) -> None:
    orientation, affine = oriented
    rng = np.random.default_rng(seed)
    shape = (12, 15, 18)
    images, labels = phantoms.head(rng, shape, modalities=("t1", "flair"))
    source_shape = tuple(shape[2 - w] for w in orientation.world)
    geometry = orientation.geometry(source_shape, affine)  # type: ignore[arg-type]
    assert geometry.canonical_shape == shape
    turned = {name: uncanonical(image, geometry) for name, image in images.items()}
    truth = uncanonical(labels, geometry)

    case = prepare(turned, truth if labelled else None, geometry)
    assert case.modalities == ("t1", "flair")
    assert case.image.shape[1:] == case.box.shape
    # A perfect segmentation lands exactly on the scan's own labels.
    marked = labels[case.box.slices] > 0
    back = case.to_source(np.stack([marked, ~marked]))
    assert back.shape == (2, *geometry.shape)
    assert np.array_equal(back[0], truth > 0)
    assert back[1].sum() == (~marked).sum()
    if labelled:
        assert case.labels is not None and np.array_equal(case.labels, labels[case.box.slices])
    else:
        assert case.labels is None


def test_the_crop_is_the_brains_box_and_outside_is_zero(rng: np.random.Generator) -> None:
    images, labels = phantoms.head(rng)
    geometry = PLAIN.geometry(tuple(reversed(phantoms.SMALL)))  # type: ignore[arg-type]
    case = prepare(
        {k: uncanonical(v, geometry) for k, v in images.items()},
        uncanonical(labels, geometry),
        geometry,
    )
    brain = np.stack(list(images.values())).any(axis=0)
    assert case.box.shape < phantoms.SMALL
    inside = brain[case.box.slices]
    assert inside.sum() == brain.sum()
    assert not case.image[:, ~inside].any()
    # A sum in float16 would lose precision.
    values = case.image[:, inside].astype(np.float64)
    assert np.allclose(values.mean(axis=1), 0, atol=1e-3)
    assert np.allclose(values.std(axis=1), 1, atol=1e-3)


def test_a_lesion_beyond_the_brain_is_not_cut_off(rng: np.random.Generator) -> None:
    images, labels = phantoms.head(rng)
    labels[0, 0, 0] = 1
    geometry = PLAIN.geometry(phantoms.SMALL)
    turned = canonical(labels, geometry)
    case = prepare(images, labels, geometry)
    assert case.labels is not None
    assert (case.labels > 0).sum() == (turned > 0).sum()


def test_a_modality_that_a_case_lacks_reads_zero(rng: np.random.Generator) -> None:
    images, labels = phantoms.head(rng, modalities=("t1", "flair"))
    case = prepare(images, labels, PLAIN.geometry(phantoms.SMALL))
    channels = case.channels(("flair", "t2", "t1"))
    assert channels.dtype == np.float32
    assert np.array_equal(channels[[0, 2]], case.image[[1, 0]])
    assert not channels[1].any()


@pytest.mark.parametrize("share", [1.0, 0.99])
def test_a_segmentation_of_everything_is_reported(share: float, rng: np.random.Generator) -> None:
    images, labels = phantoms.head(rng)
    marked = (rng.random(labels.shape) < share).astype(np.uint8)
    with pytest.raises(InputError, match="covers the whole volume"):
        prepare(images, marked, PLAIN.geometry(phantoms.SMALL))


def test_an_empty_brain_is_reported() -> None:
    images = {"t1": np.zeros((4, 8, 8)), "t2": np.full((4, 8, 8), 3.0)}
    with pytest.raises(InputError, match="brain is empty"):
        prepare(images, None, PLAIN.geometry((4, 8, 8)))


def test_constant_modalities_are_reported_by_name(rng: np.random.Generator) -> None:
    images, _ = phantoms.head(rng)
    images["t2"] = np.zeros_like(images["t2"])
    with pytest.raises(InputError, match=r"channel 2 is constant.*t1, t1ce, t2, flair"):
        prepare(images, None, PLAIN.geometry(phantoms.SMALL))


def test_equal_voxels_have_one_digest_whatever_their_type(rng: np.random.Generator) -> None:
    image = rng.integers(0, 900, (3, 4, 5)).astype(np.int16)
    digest = content_digest({"T2": image, "T1": image + 1})
    assert digest == content_digest({"T1": (image + 1).astype(np.float64)})
    assert digest == content_digest({"T1": np.asfortranarray(image + 1), "T2": image * 2})
    assert digest != content_digest({"T1": image})
    assert digest != content_digest({"T1": (image + 1).reshape(4, 3, 5)})


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("length", [1, 70])
def test_the_digest_is_of_float32_in_c_order(order: str, length: int) -> None:
    # Runs store it: computed in another way, it would match no scan that was trained on.
    image = np.arange(length * 20, dtype=np.int16).reshape(length, 4, 5)
    digested = image.astype(np.float32).tobytes() + str(image.shape).encode()
    turned = np.asarray(image, order=order)  # type: ignore[call-overload]
    assert content_digest({"T1": turned}) == hashlib.sha256(digested).hexdigest()


@pytest.mark.parametrize("dtypes", [("i2", "u1"), ("f4", "i2"), ("u2", "i4")])
def test_types_may_differ_between_modalities(
    dtypes: tuple[str, str], rng: np.random.Generator
) -> None:
    images, labels = phantoms.head(rng, modalities=("t1", "flair"))
    whole = {name: np.clip(image / 8, 0, 255).round() for name, image in images.items()}
    geometry = PLAIN.geometry(phantoms.SMALL)
    mixed = {n: v.astype(d) for (n, v), d in zip(whole.items(), dtypes, strict=True)}
    one, other = prepare(whole, labels, geometry), prepare(mixed, labels, geometry)
    assert np.array_equal(one.image, other.image)
    assert one.normalisation == other.normalisation and one.box == other.box


def test_a_slice_of_the_image_is_contiguous(rng: np.random.Generator) -> None:
    # So that a store writes it without a copy.
    images, labels = phantoms.head(rng)
    case = prepare(images, labels, PLAIN.geometry(phantoms.SMALL))
    assert case.image.dtype == np.float16
    assert case.image.transpose(1, 0, 2, 3).flags.c_contiguous
