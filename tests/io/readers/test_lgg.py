from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mriseg.errors import CaseError
from mriseg.io import readers
from mriseg.io.readers import Case, Listing, ReaderOptions
from mriseg.io.readers.lgg import READER
from mriseg.testing import ReaderContract, Truth, phantoms

SHAPE = (11, 16, 20)


def find(root: Path) -> Listing:
    return READER.find(root, ReaderOptions())


def only(root: Path) -> Case:
    (case,) = find(root).cases
    return case


class TestLgg(ReaderContract):
    reader = READER

    def write(self, root: Path) -> Truth:
        folders = phantoms.write_lgg(root / "kaggle_3m", 2, shape=SHAPE)
        truth = {}
        for index, folder in enumerate(folders):
            images, labels = phantoms.head(np.random.default_rng([0, index]), SHAPE, stripped=False)
            shown = {
                name: np.clip(images[key] / 5, 0, 255).astype(np.uint8)
                for key, name in (("t1", "T1"), ("flair", "FLAIR"), ("t1ce", "T1CE"))
            }
            truth[folder.name] = (shown, (labels > 0).astype(np.uint8))
        return truth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return phantoms.write_lgg(tmp_path, 1, shape=SHAPE)[0]


def test_slices_are_in_the_order_of_their_numbers(folder: Path) -> None:
    names = [path.name for path in only(folder).sources["FLAIR"]]
    assert names == [f"{folder.name}_{number}.tif" for number in range(1, 12)]


def test_lengths_are_in_pixels(folder: Path) -> None:
    geometry = only(folder).load().geometry
    assert geometry.unit == "px"
    assert geometry.spacing == (1, 1, 1)
    assert geometry.canonical_shape == SHAPE


def test_the_date_is_no_part_of_the_patient(folder: Path) -> None:
    assert only(folder).patient == "TCGA_XX_0001"


def test_copies_of_flair_count_as_missing(tmp_path: Path) -> None:
    phantoms.write_lgg(tmp_path, 3, shape=SHAPE, missing={0: ["t1ce"], 1: ["t1", "t1ce"]})
    loaded = [case.load() for case in find(tmp_path).cases]
    assert [tuple(one.images) for one in loaded] == [
        ("T1", "FLAIR"),
        ("FLAIR",),
        ("T1", "FLAIR", "T1CE"),
    ]
    assert [len(one.notices) for one in loaded] == [1, 2, 0]
    assert "T1CE is a copy of FLAIR" in loaded[0].notices[0]


def test_a_copy_but_for_a_voxel_counts_too(tmp_path: Path) -> None:
    (folder,) = phantoms.write_lgg(tmp_path, 1, shape=SHAPE, missing={0: ["t1"]})
    path = folder / f"{folder.name}_1.tif"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0, 0] += 1
    Image.fromarray(pixels).save(path)
    assert tuple(only(folder).load().images) == ("FLAIR", "T1CE")


def test_a_patient_without_masks(folder: Path) -> None:
    for path in folder.glob("*_mask.tif"):
        path.unlink()
    case = only(folder)
    assert not case.labelled
    assert case.load().labels is None


def test_a_second_copy_of_the_archive_is_skipped(folder: Path) -> None:
    root = folder.parent
    shutil.copytree(folder, root / "lgg-mri-segmentation" / "kaggle_3m" / folder.name)
    listing = find(root)
    assert len(listing.cases) == 1
    ((name, reason),) = listing.skipped
    assert name == folder.name
    assert "second time" in reason


def damage(folder: Path, why: str) -> None:
    with pytest.raises(CaseError, match=why) as caught:
        only(folder).load()
    assert caught.value.case == folder.name


def test_a_missing_slice(folder: Path) -> None:
    for path in folder.glob("*_5*.tif"):
        path.unlink()
    damage(folder, "its slices 5 are missing")


def test_a_missing_mask(folder: Path) -> None:
    (folder / f"{folder.name}_3_mask.tif").unlink()
    damage(folder, "slices 3 have an image or a mask, not both")


def test_another_size(folder: Path) -> None:
    path = folder / f"{folder.name}_3.tif"
    Image.fromarray(np.zeros((16, 21, 3), np.uint8)).save(path)
    damage(folder, "_3.tif differs in size")


def test_masks_of_another_size(folder: Path) -> None:
    for path in folder.glob("*_mask.tif"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    damage(folder, "masks are 8 x 8 pixels, its images 16 x 20")


def test_a_mask_with_grey_levels(folder: Path) -> None:
    path = folder / f"{folder.name}_3_mask.tif"
    Image.fromarray(np.full((16, 20), 100, np.uint8)).save(path)
    damage(folder, "values other than 0 and 255")


def test_an_image_of_one_colour(folder: Path) -> None:
    path = folder / f"{folder.name}_3.tif"
    Image.fromarray(np.zeros((16, 20), np.uint8)).save(path)
    damage(folder, "_3.tif is L; expected three 8-bit colours")


def test_another_format_named_tif(folder: Path) -> None:
    path = folder / f"{folder.name}_3.tif"
    Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save(path, format="PNG")
    damage(folder, "_3.tif cannot be read as TIFF")


def test_a_size_beyond_reason(folder: Path) -> None:
    path = folder / f"{folder.name}_1.tif"
    Image.new("RGB", (5000, 1)).save(path)
    damage(folder, "_1.tif claims 5000 x 1 pixels")


@pytest.mark.realdata
class TestRealCases:
    def test_forty_patients(self, lgg_dir: Path) -> None:
        name, listing = readers.find(lgg_dir.parent)
        assert name == "lgg"
        assert len(listing.cases) == 40
        assert len({case.patient for case in listing.cases}) == 40
        assert listing.skipped == ()
        assert listing.regions == {"WT": (1,)}

    @pytest.mark.slow
    def test_the_copies_of_flair(self, lgg_dir: Path) -> None:
        missing = {}
        for case in find(lgg_dir).cases:
            loaded = case.load()
            assert loaded.labels is not None
            assert set(np.unique(loaded.labels)) == {0, 1}
            absent = {"T1", "T1CE"} - set(loaded.images)
            assert len(loaded.notices) == len(absent)
            if absent:
                missing[case.patient] = absent
        assert missing == {
            "TCGA_DU_6407": {"T1CE"},
            "TCGA_DU_7013": {"T1", "T1CE"},
            "TCGA_FG_7634": {"T1CE"},
            "TCGA_HT_A616": {"T1", "T1CE"},
        }
