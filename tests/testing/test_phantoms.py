"""The phantoms that tests and plug-ins' authors stand on are what they say they are."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes
from PIL import Image

from mriseg.testing import phantoms


def test_a_head_has_a_brain_and_the_tumour_that_was_asked_for(rng: np.random.Generator) -> None:
    images, labels = phantoms.head(rng)
    assert tuple(images) == phantoms.MODALITIES
    assert set(np.unique(labels)) == {0, 1, 2, 4}
    for image in images.values():
        assert image.shape == phantoms.SMALL
        assert np.isfinite(image).all()
        assert image[0, 0, 0] == 0
        assert (image[labels > 0] > 0).all()
    flair = images["flair"]
    assert flair[labels == 2].mean() > 1.5 * flair[(labels == 0) & (flair > 0)].mean()
    assert not phantoms.head(rng, tumour=False)[1].any()


def test_the_same_seed_gives_the_same_head() -> None:
    first, second = (phantoms.head(np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(first[0][name], second[0][name]) for name in first[0])
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSR", "ILA"])
def test_a_nifti_lies_the_same_way_in_the_world_whatever_its_axes(
    tmp_path: Path, rng: np.random.Generator, orientation: str
) -> None:
    array = rng.integers(0, 99, (3, 4, 5), dtype=np.int16)
    options = {"spacing": (5, 1, 0.5), "origin": (7, 8, 9)}
    plain = nib.load(phantoms.write_nifti(tmp_path / "plain.nii", array, **options))
    path = phantoms.write_nifti(tmp_path / "t.nii.gz", array, orientation=orientation, **options)
    turned = nib.load(path)
    assert "".join(aff2axcodes(turned.affine)) == orientation
    ours, theirs = nib.as_closest_canonical(turned), nib.as_closest_canonical(plain)
    assert np.array_equal(ours.dataobj, theirs.dataobj)
    assert np.allclose(ours.affine, theirs.affine)
    assert np.array_equal(np.asarray(plain.dataobj).T, array)


def test_brats_names_follow_the_year(tmp_path: Path) -> None:
    [old] = phantoms.write_brats(tmp_path / "old", 1, gz=False)
    [new] = phantoms.write_brats(tmp_path / "new", 1, names="2023")
    [bare] = phantoms.write_brats(tmp_path / "bare", 1, labelled=False, modalities=("flair",))
    assert {path.name.removeprefix(old.name) for path in old.iterdir()} == {
        "_t1.nii", "_t1ce.nii", "_t2.nii", "_flair.nii", "_seg.nii"
    }  # fmt: skip
    assert {path.name.removeprefix(new.name) for path in new.iterdir()} == {
        "-t1n.nii.gz", "-t1c.nii.gz", "-t2w.nii.gz", "-t2f.nii.gz", "-seg.nii.gz"
    }  # fmt: skip
    assert [path.name for path in bare.iterdir()] == [f"{bare.name}_flair.nii.gz"]
    assert set(np.unique(nib.load(old / f"{old.name}_seg.nii").dataobj)) == {0, 1, 2, 4}
    assert set(np.unique(nib.load(new / f"{new.name}-seg.nii.gz").dataobj)) == {0, 1, 2, 3}


def test_lgg_puts_flair_where_a_sequence_is_missing(tmp_path: Path) -> None:
    first, second = phantoms.write_lgg(tmp_path, 2, shape=(5, 32, 32), missing={1: ("t1",)})
    assert len(list(first.iterdir())) == 10
    whole = np.asarray(Image.open(first / f"{first.name}_3.tif"))
    lacking = np.asarray(Image.open(second / f"{second.name}_3.tif"))
    mask = np.asarray(Image.open(first / f"{first.name}_3_mask.tif"))
    assert whole.shape == (32, 32, 3)
    assert whole.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert not np.array_equal(whole[..., 0], whole[..., 1])
    assert np.array_equal(lacking[..., 0], lacking[..., 1])


@pytest.mark.parametrize(
    ("style", "channels", "image", "shape"),
    [
        ("nnunet", ("t1", "t2"), "imagesTr/phantom_001_0001.nii.gz", (40, 48, 24)),
        ("msd", ("t1", "t2"), "imagesTr/phantom_001.nii.gz", (40, 48, 24, 2)),
        ("plain", ("t1",), "images/phantom_001.nii.gz", (40, 48, 24)),
    ],
)
def test_nnunet_layouts(
    tmp_path: Path, style: str, channels: tuple[str, ...], image: str, shape: tuple[int, ...]
) -> None:
    labels = phantoms.write_nnunet(tmp_path, 1, modalities=channels, style=style)
    assert nib.load(tmp_path / image).shape == shape
    assert set(np.unique(nib.load(labels[0]).dataobj)) == {0, 1, 2}
    assert (tmp_path / "dataset.json").exists() == (style != "plain")
    if style == "nnunet":
        described = json.loads((tmp_path / "dataset.json").read_text())
        assert described["channel_names"] == {"0": "T1", "1": "T2"}
