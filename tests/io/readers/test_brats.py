from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from nibabel import orientations

from mriseg.core.orientation import geometry_of
from mriseg.core.volume import canonical, uncanonical
from mriseg.errors import CaseError, InputError
from mriseg.io import nifti, readers
from mriseg.io.readers import Case, Listing, RawCase, ReaderOptions
from mriseg.io.readers.brats import READER
from mriseg.io.readers.loading import onto_grid
from mriseg.testing import ReaderContract, Truth, phantoms
from tests import strategies

SHAPE = (4, 6, 5)
NAMES = {"t1": "T1", "t1ce": "T1CE", "t2": "T2", "flair": "FLAIR"}


def find(root: Path) -> Listing:
    return READER.find(root, ReaderOptions())


def only(root: Path) -> Case:
    (case,) = find(root).cases
    return case


def write(folder: Path, labels: Any = None, **options: Any) -> Path:
    images, drawn = phantoms.head(np.random.default_rng(0), SHAPE)
    if labels is not None:
        drawn = np.resize(np.asarray(labels), SHAPE)
    return phantoms.write_brats_case(folder, images, drawn, **options)


def labels_in(loaded: RawCase) -> set[int]:
    assert loaded.labels is not None
    return set(np.unique(loaded.labels).tolist())


class BratsContract(ReaderContract):
    reader = READER
    names = "2020"
    orientation = "LPS"
    gz = True

    def write(self, root: Path) -> Truth:
        folders = phantoms.write_brats(
            root,
            2,
            shape=SHAPE,
            names=self.names,
            orientation=self.orientation,
            gz=self.gz,
        )
        truth = {}
        for index, folder in enumerate(folders):
            images, labels = phantoms.head(np.random.default_rng([0, index]), SHAPE)
            truth[folder.name] = ({NAMES[m]: np.rint(a) for m, a in images.items()}, labels)
        return truth


class TestNamesOf2020(BratsContract):
    pass


class TestNamesOf2023(BratsContract):
    names = "2023"


class TestNamesInAnyCase(BratsContract):
    names = "mixed"
    gz = False


class TestAnotherOrientation(BratsContract):
    orientation = "SRA"


class TestFolders:
    def test_a_folder_that_is_a_case(self, tmp_path: Path) -> None:
        assert only(write(tmp_path / "BraTS20_Training_001")).name == "BraTS20_Training_001"

    def test_as_kaggle_nests_them(self, tmp_path: Path) -> None:
        folder = tmp_path / "BraTS2020_TrainingData" / "MICCAI_BraTS2020_TrainingData"
        write(folder / "BraTS20_Training_001", gz=False)
        write(folder / "BraTS20_Training_002", gz=False)
        (folder / "name_mapping.csv").write_text("a,b\n")
        assert [case.name for case in find(tmp_path).cases] == [
            "BraTS20_Training_001",
            "BraTS20_Training_002",
        ]

    def test_as_kaggle_unpacks_them(self, tmp_path: Path) -> None:
        """Each x_t1.nii is a folder that holds the file, under a name of its own."""
        case = write(tmp_path / "BraTS2021_00495", gz=False)
        for path in sorted(case.iterdir()):
            content = path.read_bytes()
            path.unlink()
            path.mkdir()
            # Most files have the name of their folder, some have a number as a name.
            inner = "00000057_brain.nii" if "t2" in path.name else path.name
            (path / inner).write_bytes(content)
        case_found = only(tmp_path)
        assert case_found.name == "BraTS2021_00495"
        assert case_found.modalities == ("T1", "T1CE", "T2", "FLAIR")
        assert case_found.labelled
        case_found.load()

    def test_the_segmentation_of_case_355(self, tmp_path: Path) -> None:
        case = write(tmp_path / "BraTS20_Training_355", gz=False)
        (case / "BraTS20_Training_355_seg.nii").rename(case / "W39_1998.09.19_Segm.nii")
        case_found = only(tmp_path)
        assert case_found.sources["seg"] == (case / "W39_1998.09.19_Segm.nii",)
        assert case_found.patient == "BraTS20_Training_355"

    def test_a_case_may_lack_a_modality_and_the_segmentation(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        (case / "a_t2.nii.gz").unlink()
        (case / "a_seg.nii.gz").unlink()
        case_found = only(tmp_path)
        assert case_found.modalities == ("T1", "T1CE", "FLAIR")
        assert not case_found.labelled
        assert case_found.load().labels is None

    def test_a_brain_mask_is_no_segmentation(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        (case / "a_seg.nii.gz").rename(case / "a_brainmask.nii.gz")
        assert not only(tmp_path).labelled

    def test_a_segmentation_alone_is_no_case(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        for name in ("t1", "t1ce", "t2", "flair"):
            (case / f"a_{name}.nii.gz").unlink()
        assert not READER.matches(tmp_path)

    def test_packed_and_unpacked(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        shutil.copy(write(tmp_path / "b" / "a", gz=False) / "a_t1.nii", case)
        shutil.rmtree(tmp_path / "b")
        case_found = only(tmp_path)
        assert case_found.sources["T1"] == (case / "a_t1.nii",)
        assert case_found.load().notices == (
            "T1 exists both packed and unpacked; a_t1.nii was used",
        )

    def test_two_files_of_one_modality(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        write(tmp_path / "b")
        shutil.copy(case / "a_t1.nii.gz", case / "other_t1.nii.gz")
        listing = find(tmp_path)
        assert [case.name for case in listing.cases] == ["b"]
        ((name, reason),) = listing.skipped
        assert name == "a"
        assert "files of 2 subjects (a, other)" in reason

    def test_folders_of_one_name(self, tmp_path: Path) -> None:
        for parent in ("site1", "site2"):
            shutil.move(write(tmp_path / "x" / "scan"), tmp_path / parent)
        for parent in ("anna", "ben"):
            write(tmp_path / parent / "scan")
            for path in (tmp_path / parent / "scan").iterdir():
                path.rename(path.with_name(path.name.removeprefix("scan_")))
        listing = find(tmp_path)
        names = [case.name for case in listing.cases]
        # "scan" does not identify a patient, so two patients must not become one.
        assert names == ["anna", "ben", "site1", "site2"]
        assert [case.patient for case in listing.cases] == names

    def test_one_case_in_two_folders_is_one_patient(self, tmp_path: Path) -> None:
        for parent in ("one", "two"):
            write(tmp_path / parent / "BraTS20_Training_001")
        listing = find(tmp_path)
        assert [case.name for case in listing.cases] == [
            "one__BraTS20_Training_001",
            "two__BraTS20_Training_001",
        ]
        assert {case.patient for case in listing.cases} == {"BraTS20_Training_001"}

    def test_hidden_files_are_left_out(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        (case / "._a_t1.nii.gz").write_bytes(b"\0")
        write(tmp_path / "__MACOSX" / "a")
        assert only(tmp_path).sources["T1"] == (case / "a_t1.nii.gz",)

    def test_links_are_followed(self, tmp_path: Path) -> None:
        """As in the data sets of DataLad and DVC: case folders, or files, that are links."""
        case = write(tmp_path / "lake" / "A")
        (tmp_path / "folders").mkdir()
        (tmp_path / "folders" / "A").symlink_to(case)
        (tmp_path / "files" / "A").mkdir(parents=True)
        for path in case.iterdir():
            (tmp_path / "files" / "A" / path.name).symlink_to(path)
        for name in ("folders", "files"):
            linked = only(tmp_path / name)
            assert (linked.name, linked.modalities, linked.labelled) == (
                "A",
                ("T1", "T1CE", "T2", "FLAIR"),
                True,
            )
            linked.load()

    def test_a_link_whose_content_is_missing_is_named(self, tmp_path: Path) -> None:
        case = write(tmp_path / "A")
        (case / "A_flair.nii.gz").unlink()
        (case / "A_flair.nii.gz").symlink_to(tmp_path / "annex" / "MD5E-1.nii.gz")
        assert find(tmp_path).skipped == (
            ("A", "its FLAIR, A_flair.nii.gz, is a broken link (not fetched yet?)"),
        )

    def test_lesions_are_recognised_by_the_name_of_their_mask(self, tmp_path: Path) -> None:
        for name in ("anna", "ben"):
            case = write(tmp_path / name, [0, 1])
            (case / f"{name}_seg.nii.gz").rename(case / f"GOLD_STANDARD_{name}.nii.gz")
        (tmp_path / "ben" / "GOLD_STANDARD_ben.nii.gz").unlink()
        listing = find(tmp_path)
        assert listing.regions == {"lesion": (1,)}
        assert listing.labels == {1: "lesion"}
        write(tmp_path / "BraTS20_Training_001")
        mixed = find(tmp_path)
        assert next(iter(mixed.regions)) == "WT"
        assert "1 of 2 segmentations are named after lesions" in mixed.notices[0]

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        try:
            case.rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
        except OSError:
            pytest.skip("this file system takes UTF-8 alone")
        case_found = only(tmp_path)
        assert case_found.name == "caf\\xe9"
        case_found.load()


class TestPatient:
    def test_an_addition_to_the_files_subject(self, tmp_path: Path) -> None:
        for number in (2, 20):
            images, labels = phantoms.head(np.random.default_rng(0), SHAPE)
            folder = phantoms.write_brats_case(tmp_path / "BraTS20_Training_010", images, labels)
            folder.rename(tmp_path / f"BraTS20_Training_010_slice_{number}")
        assert {case.patient for case in find(tmp_path).cases} == {"BraTS20_Training_010"}

    def test_a_word_that_all_files_share_is_no_patient(self, tmp_path: Path) -> None:
        for name in ("anna", "ben"):
            case = write(tmp_path / name)
            for path in case.iterdir():
                path.rename(path.with_name(path.name.replace(name, "brain")))
        assert {case.patient for case in find(tmp_path).cases} == {"anna", "ben"}


class TestLabels:
    def test_a_float_segmentation(self, tmp_path: Path) -> None:
        write(tmp_path / "BraTS-GLI-00000-000", [0, 1, 2, 4], names="2023", seg_dtype=np.float32)
        assert labels_in(only(tmp_path).load()) == {0, 1, 2, 4}

    def test_an_interpolated_segmentation_is_refused(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        phantoms.write_nifti(case / "a_seg.nii.gz", np.full(SHAPE, 0.4, dtype=np.float32))
        with pytest.raises(CaseError, match=r"case a: .* holds 0.4"):
            only(tmp_path).load()


class TestGrids:
    def test_another_origin_is_accepted_with_a_notice(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        before = only(tmp_path).load()
        assert before.notices == ()
        phantoms.write_nifti(
            case / "a_seg.nii.gz",
            canonical(before.labels, before.geometry),  # type: ignore[arg-type]
            origin=(0, 239, 0),
        )
        loaded = only(tmp_path).load()
        np.testing.assert_array_equal(loaded.labels, before.labels)  # type: ignore[arg-type]
        assert loaded.geometry == before.geometry
        (notice,) = loaded.notices
        assert "a_seg.nii.gz" in notice
        assert "239 mm" in notice

    def test_a_segmentation_without_an_affine_lines_up(self, tmp_path: Path) -> None:
        """As `nibabel.Nifti1Image(labels, np.eye(4))` is often written."""
        case = write(tmp_path / "a")
        before = only(tmp_path).load()
        nib.save(nib.Nifti1Image(before.labels, np.eye(4)), case / "a_seg.nii.gz")
        loaded = only(tmp_path).load()
        np.testing.assert_array_equal(loaded.labels, before.labels)  # type: ignore[arg-type]
        assert len(loaded.notices) == 1

    def test_a_modality_in_another_orientation_is_reoriented(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        before = only(tmp_path).load()
        path = case / "a_flair.nii.gz"
        image = nib.load(path)
        turn = orientations.ornt_transform(
            orientations.io_orientation(image.affine), orientations.axcodes2ornt(tuple("SAR"))
        )
        nib.save(image.as_reoriented(turn), path)
        loaded = only(tmp_path).load()
        np.testing.assert_array_equal(loaded.images["FLAIR"], before.images["FLAIR"])
        (notice,) = loaded.notices
        assert "it was reoriented" in notice

    @pytest.mark.parametrize("name", ["t2", "seg"])
    def test_another_shape_is_refused(self, tmp_path: Path, name: str) -> None:
        case = write(tmp_path / "a")
        phantoms.write_nifti(case / f"a_{name}.nii.gz", np.zeros((3, 6, 5), np.uint8))
        with pytest.raises(
            CaseError, match=f"a_{name}.nii.gz has the shape 5 x 6 x 3, .* 5 x 6 x 4"
        ):
            only(tmp_path).load()

    def test_nan_in_one_modality(self, tmp_path: Path) -> None:
        case = write(tmp_path / "a")
        phantoms.write_nifti(case / "a_t2.nii.gz", np.full(SHAPE, np.nan, np.float32))
        with pytest.raises(CaseError, match=r"case a: a_t2.nii.gz holds 120 voxels that are NaN"):
            only(tmp_path).load()

    @given(strategies.scans(), strategies.orientations())
    def test_reorienting_agrees_with_the_affines(self, scan: Any, other: Any) -> None:
        """A file turned to any other axes, affine and all, comes back voxel for voxel."""
        array, grid = scan
        image = nib.Nifti1Image(array, np.asarray(grid.affine))
        turn = orientations.ornt_transform(
            orientations.io_orientation(image.affine), orientations.axcodes2ornt(tuple(other.codes))
        )
        turned = image.as_reoriented(turn)
        own = geometry_of(turned.shape, turned.affine)
        back, notices = onto_grid(np.asanyarray(turned.dataobj), own, grid, "x")
        np.testing.assert_array_equal(back, array)
        assert bool(notices) == ((own.axes, own.flips) != (grid.axes, grid.flips))


class TestFind:
    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no folder"):
            readers.find(tmp_path / "none")

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").write_bytes(b"")
        with pytest.raises(InputError, match="is not an image"):
            readers.find(tmp_path / "x.txt")

    def test_no_layout_lists_them_all(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no known layout") as caught:
            readers.find(tmp_path)
        for name, reader in readers.READERS.items():
            assert f"{name}: {reader.summary}" in str(caught.value)

    def test_an_unknown_layout(self, tmp_path: Path) -> None:
        with pytest.raises(
            Exception,
            match="there is no layout 'bidz'; known: bids, brats, dicom, flat, h5, lgg, nnunet",
        ):
            readers.find(tmp_path, "bidz")

    def test_a_layout_that_does_not_fit(self, tmp_path: Path) -> None:
        write(tmp_path / "a")
        for name in ("lgg", "nnunet"):
            with pytest.raises(InputError, match="no case in"):
                readers.find(tmp_path, name)


@pytest.mark.realdata
class TestRealCases:
    def test_five_cases_of_three_years(self, brats_dir: Path) -> None:
        name, listing = readers.find(brats_dir)
        assert name == "brats"
        assert {case.name: case.patient for case in listing.cases} == {
            "BraTS-GLI-00000-000": "BraTS-GLI-00000",
            "BraTS19_2013_10_1": "2013_10",
            "Brats17_CBICA_AXN_1": "CBICA_AXN",
            "Brats17_TCIA_105_1": "TCIA_105",
            "Brats17_TCIA_639_1": "TCIA_639",
        }
        for case in listing.cases:
            loaded = case.load()
            assert set(loaded.images) == {"T1", "T1CE", "T2", "FLAIR"}
            assert labels_in(loaded) == {0, 1, 2, 4}
            assert all(image.dtype == np.int16 for image in loaded.images.values())
            assert bool(loaded.notices) == (case.name == "Brats17_TCIA_105_1")

    def test_the_affine_that_differs(self, brats_dir: Path) -> None:
        case = only(brats_dir / "Brats17_TCIA_105_1")
        loaded = case.load()
        (notice,) = loaded.notices
        assert "Brats17_TCIA_105_1_seg.nii.gz" in notice
        assert "239 mm" in notice
        # The arrays do line up: the tumour is bright in FLAIR.
        assert loaded.labels is not None
        flair = loaded.images["FLAIR"]
        assert (
            flair[loaded.labels > 0].mean() > 1.5 * flair[(flair > 0) & (loaded.labels == 0)].mean()
        )
        assert loaded.geometry.affine[1][3] == 239

    def test_enhancing_tumour_of_2023(self, brats_dir: Path) -> None:
        case = only(brats_dir / "BraTS-GLI-00000-000")
        raw, _ = nifti.read(case.sources["seg"][0])
        assert raw.dtype == np.float32
        labels = case.load().labels
        assert labels is not None
        np.testing.assert_array_equal(labels == 4, raw == 3)
        assert case.sources["T2"][0].name.endswith("-t2W.nii.gz")

    def test_a_case_without_a_segmentation(self, brats_unlabelled_dir: Path) -> None:
        case = only(brats_unlabelled_dir)
        assert not case.labelled
        assert case.load().labels is None

    def test_two_modalities_and_five_classes(self, brats_two_modalities_dir: Path) -> None:
        case = only(brats_two_modalities_dir)
        assert case.modalities == ("T1CE", "FLAIR")
        assert case.patient == "brats_2013_pat0002"
        loaded = case.load()
        assert labels_in(loaded) == {0, 1, 2, 3, 4}
        assert loaded.notices == ()

    def test_scaled_labels_of_slices(self, oddities_dir: Path) -> None:
        listing = find(oddities_dir / "scaled-labels")
        assert len(listing.cases) == 12
        assert {case.patient for case in listing.cases} == {
            "BraTS20_Training_010",
            "BraTS20_Training_133",
        }
        union = set()
        for case in listing.cases:
            loaded = case.load()
            assert loaded.geometry.ndim == 2
            assert loaded.geometry.canonical_shape == (1, 224, 224)
            union |= labels_in(loaded)
        assert union == {0, 1, 2, 4}

    def test_a_web_page(self, oddities_dir: Path) -> None:
        case = only(oddities_dir / "html-as-nifti")
        with pytest.raises(CaseError) as caught:
            case.load()
        assert str(caught.value) == (
            "case BRATS_001: BRATS_001_flair.nii.gz is not a NIfTI file (it starts with "
            "'<!DOCTYPE': a web page?)"
        )

    def test_ms_lesions(self, ms_dir: Path) -> None:
        name, listing = readers.find(ms_dir)
        assert name == "brats"
        assert listing.regions == {"lesion": (1,)}
        assert [case.patient for case in listing.cases] == ["patient07", "patient19"]
        for case in listing.cases:
            loaded = case.load()
            assert tuple(loaded.images) == ("T1", "T1CE", "T2", "FLAIR")
            assert labels_in(loaded) == {0, 1}
            back = uncanonical(canonical(loaded.labels, loaded.geometry), loaded.geometry)  # type: ignore[arg-type]
            np.testing.assert_array_equal(back, loaded.labels)  # type: ignore[arg-type]
            assert loaded.notices == ()
