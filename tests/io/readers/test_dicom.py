from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Geometry
from mriseg.errors import ConfigError, InputError
from mriseg.io import readers
from mriseg.io.readers import Listing, ReaderOptions
from mriseg.io.readers.dicom import READER
from mriseg.testing import phantoms
from mriseg.testing.readers import ReaderContract, Truth
from tests.io.dicom.series import save, write_series

DESCRIPTIONS = {"T1": "AX T1 SE", "T1CE": "AX T1 POST", "T2": "AX T2 FSE", "FLAIR": "AX FLAIR"}
SHAPE = (6, 20, 16)
AFFINE = np.diag([-1.0, 1.0, -3.0, 1.0])
AFFINE[:3, 3] = (10, -20, 30)


def study(
    folder: Path,
    *,
    patient: str = "ID4711",
    date: str = "1",
    modalities: tuple[str, ...] = ("T1", "FLAIR"),
    seed: int = 0,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Write a study; gives its images and labels, [z, y, x] canonical."""
    images, labels = phantoms.head(np.random.default_rng(seed), SHAPE)
    images = {name: images[name.lower()].astype(np.uint16) for name in modalities}
    for number, name in enumerate(modalities, start=1):
        # Canonical z, y, x run to S, P, L: the array's x, y, z run to L, P, S as DICOM's LPS does.
        array = np.ascontiguousarray(images[name].transpose(2, 1, 0))
        lps = np.diag([-1.0, -1.0, 3.0, 1.0])
        lps[:3, 3] = (10, 20, -30)
        write_series(
            folder / name,
            array,
            lps,
            DESCRIPTIONS[name],
            number=number,
            patient=patient,
            study=date,
            seed=number,
        )
    return images, labels


def find(root: Path, **options: object) -> Listing:
    return readers.find(root, "auto", ReaderOptions(**options))[1]  # type: ignore[arg-type]


class TestDicom(ReaderContract):
    """Segmentations of DICOM come from a folder of their own."""

    reader = READER

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "scans"

    def write(self, root: Path) -> Truth:
        truth = {}
        labels_in = root.parent / "labels"
        labels_in.mkdir(parents=True)
        for number, name in enumerate(("anna", "bert")):
            images, labels = study(root / name, patient=f"ID{number}", seed=number)
            truth[name] = (images, labels)
            lps = np.diag([-1.0, -1.0, 3.0, 1.0])
            lps[:3, 3] = (10, 20, -30)
            nib.save(
                nib.Nifti1Image(np.ascontiguousarray(labels.transpose(2, 1, 0)), lps),
                labels_in / f"{name}.nii.gz",
            )
        return truth

    @pytest.fixture
    def listing(self, root: Path, truth: Truth) -> Listing:
        return find(root, labels=root.parent / "labels")

    def test_finding_touches_only_files_inside(self, listing: Listing, root: Path) -> None:
        for case in listing.cases:
            assert all(path.is_relative_to(root) for path in case.images)


@pytest.mark.parametrize("start", ["group 2", "implicit", "explicit"])
def test_files_without_preamble_are_known(tmp_path: Path, start: str) -> None:
    study(tmp_path / "anna")
    for path in (tmp_path / "anna").rglob("IM*"):
        if start == "group 2":
            path.write_bytes(path.read_bytes()[132:])
            continue
        data = pydicom.dcmread(path)
        del data.file_meta
        data.preamble = None
        implicit = start == "implicit"
        data.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    (case,) = find(tmp_path).cases
    assert case.load().images.keys() == {"T1", "FLAIR"}


def test_series_that_are_not_of_use_are_set_aside_by_name(tmp_path: Path) -> None:
    study(tmp_path / "anna")
    array = np.ones((8, 8, 3), np.uint16)
    for number, text in enumerate(("localizer", "DWI b1000", "Some T2 map"), start=7):
        write_series(tmp_path / "anna" / text, array, AFFINE, text, number=number)
    listing = find(tmp_path)
    (case,) = listing.cases
    assert case.modalities == ("T1", "FLAIR")
    reasons = {path.parent.name: why for path, why in listing.unused.items()}
    assert reasons == {
        "localizer": "of a series that is set aside: a localizer",
        "DWI b1000": "of a series that is set aside: diffusion",
        "Some T2 map": "of a series that is set aside: a map",
    }
    assert case.notes["T1 series"] == '1 "AX T1 SE": T1 by its description'
    assert 'anna/localizer/IM0000 = 7 "localizer": a localizer' in case.notes["other series"]


def test_two_series_of_one_modality_are_refused_with_rows_that_settle_it(tmp_path: Path) -> None:
    study(tmp_path / "anna")
    array = np.ones((16, 20, 6), np.uint16)
    write_series(tmp_path / "anna" / "again", array, AFFINE, "SAG BRAVO", number=8)
    listing = find(tmp_path)
    assert not listing.cases
    ((name, why),) = listing.skipped
    assert name == "anna"
    assert "2 series may be its T1: those of anna/T1/IM0000 or anna/again/IM0000" in why
    rows = listing.proposals["anna"]
    assert [Path(row.files["T1"]).parent.name for row in rows] == ["T1", "again"]
    assert rows[1].notes["T1 series"] == '8 "SAG BRAVO": T1 by its description'


def test_a_reformat_gives_way_to_an_original_and_counts_where_it_is_alone(tmp_path: Path) -> None:
    study(tmp_path / "anna", modalities=("FLAIR",))
    array = np.ones((16, 20, 6), np.uint16)
    derived = ["DERIVED", "SECONDARY", "MPR"]
    mpr = write_series(
        tmp_path / "anna" / "MPR", array, AFFINE, "T1 MPR tra", number=8, ImageType=derived
    )
    assert find(tmp_path).cases[0].modalities == ("T1", "FLAIR")
    write_series(tmp_path / "anna" / "T1", array, AFFINE, "T1 3D", number=9)
    listing = find(tmp_path)
    assert listing.cases[0].sources["T1"][0].parent.name == "T1"
    assert listing.unused[mpr[0]] == "of a series that is set aside: a reformat of another series"


def test_patients_and_visits_are_of_folders_and_linked_by_their_ids(tmp_path: Path) -> None:
    study(tmp_path / "P1" / "baseline", patient="A")
    study(tmp_path / "P1" / "month6", patient="A", date="2")
    study(tmp_path / "P2" / "ST000001", patient="B")
    # The same patient in another folder.
    study(tmp_path / "P3", patient="B", date="3")
    cases = {case.name: case for case in find(tmp_path).cases}
    assert sorted(cases) == ["P1__baseline", "P1__month6", "P2", "P3"]
    assert cases["P1__baseline"].patient == cases["P1__month6"].patient == "P1"
    assert cases["P2"].patient == cases["P3"].patient == "P2"
    assert cases["P1__month6"].visit == "month6"


def test_studies_of_one_patient_in_one_folder_are_numbered_by_date(tmp_path: Path) -> None:
    study(tmp_path / "anna" / "x", date="2", modalities=("T1",))
    study(tmp_path / "anna" / "y", date="1", modalities=("T1",))
    root = tmp_path / "all" / "anna"
    root.mkdir(parents=True)
    for path in (tmp_path / "anna").rglob("IM*"):
        path.rename(root / "-".join(path.relative_to(tmp_path / "anna").parts))
    cases = find(tmp_path / "all").cases
    assert [(case.name, case.patient, case.visit) for case in cases] == [
        ("anna_1", "anna", "1"),
        ("anna_2", "anna", "2"),
    ]
    assert all(path.name.startswith("y-") for path in cases[0].files)


def test_two_patients_in_a_folder_are_refused(tmp_path: Path) -> None:
    study(tmp_path / "mixed" / "a", patient="SECRET1", modalities=("T1",))
    study(tmp_path / "mixed" / "b", patient="SECRET2", modalities=("T1",))
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (tmp_path / "mixed").rglob("IM*"):
        path.rename(flat / "-".join(path.relative_to(tmp_path / "mixed").parts))
    listing = find(flat)
    assert not listing.cases
    ((_, why),) = listing.skipped
    assert "images of 2 patients lie in one folder" in why
    assert "SECRET" not in why


def test_a_name_that_tells_the_patient_is_said(tmp_path: Path) -> None:
    study(tmp_path / "ID4711_mri")
    assert "hold the patient's name or ID" in " ".join(find(tmp_path).notices)
    study(tmp_path / "again" / "p1", patient="OTHER")
    assert find(tmp_path / "again").notices == ()


def test_series_on_other_grids_keep_them_until_they_are_brought_together(tmp_path: Path) -> None:
    study(tmp_path / "anna", modalities=("T1",))
    array = np.ones((20, 24, 5), np.uint16)
    paths = write_series(tmp_path / "anna" / "T2", array, AFFINE, "T2 TSE", number=5)
    loaded = find(tmp_path).cases[0].load()
    assert loaded.images["T1"].shape == loaded.geometry.shape != loaded.grids["T2"].shape
    # Of the same shape, but moved by two slices: not to be taken for aligned.
    for path in paths:
        path.unlink()
    lps = np.diag([-1.0, -1.0, 3.0, 1.0])
    lps[:3, 3] = (10, 20, -24)
    write_series(tmp_path / "anna" / "T2", np.ones((16, 20, 6), np.uint16), lps, "T2", number=5)
    loaded = find(tmp_path).cases[0].load()
    assert loaded.grids["T2"].shape == loaded.geometry.shape
    assert loaded.notices == ()


def test_a_damaged_file_refuses_its_study_and_no_other(tmp_path: Path) -> None:
    study(tmp_path / "anna")
    study(tmp_path / "bert", patient="B")
    path = tmp_path / "anna" / "T1" / "IM0003"
    path.write_bytes(path.read_bytes()[:-100])
    listing = find(tmp_path)
    assert [case.name for case in listing.cases] == ["bert"]
    assert "IM0003 is cut off" in dict(listing.skipped)["anna"]


def test_echoes_and_several_folders_of_a_series_are_not_mixed(tmp_path: Path) -> None:
    array = np.ones((16, 20, 6), np.uint16)
    first = write_series(tmp_path / "s", array, AFFINE, "PD+T2 TSE", number=3, EchoTime="12")
    second = write_series(tmp_path / "t", array, AFFINE, "PD+T2 TSE", number=3, EchoTime="98")
    listing = find(tmp_path)
    (case,) = listing.cases
    assert case.sources == {"T2": tuple(sorted(second))}
    assert listing.unused[first[0]] == "of a series that is set aside: proton density"
    (tmp_path / "u").mkdir()
    second[0].rename(tmp_path / "u" / "IM")
    assert "lies in several folders (t, u)" in dict(find(tmp_path).skipped)[tmp_path.name]


def test_what_is_no_image_of_mr_is_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "p", np.ones((8, 8, 2), np.uint16), AFFINE, "x")
    for path, sop in zip(paths, ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.3.10"), strict=True):
        data = pydicom.dcmread(path)
        data.SOPClassUID = sop
        save(data, path)
    listing = find(tmp_path)
    assert set(listing.unused.values()) == {
        "DICOM of another kind than MR images (CT Image Storage)",
        "DICOMDIR, an index of the files beside it, which are read without it",
    }
    ((_, why),) = listing.skipped
    assert why.startswith("none of its DICOM files is an image of MR")


def test_a_single_file_is_read_if_it_holds_all_frames(tmp_path: Path) -> None:
    study(tmp_path / "anna", modalities=("T1",))
    with pytest.raises(InputError, match="is one slice of a series; give the folder"):
        find(tmp_path / "anna" / "T1" / "IM0000")


def test_dicom_beside_nifti_is_refused_unless_the_layout_is_named(tmp_path: Path) -> None:
    study(tmp_path / "dicom" / "anna", modalities=("T1",))
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match="data sets of several layouts: .*layout dicom.*--layout"):
        find(tmp_path)
    assert readers.find(tmp_path, "dicom")[1].cases
    assert readers.find(tmp_path, "flat")[1].cases


def test_without_the_libraries_the_message_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study(tmp_path / "anna", modalities=("T1",))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ((_, why),) = find(tmp_path).skipped
    assert 'pip install "mriseg[dicom]"' in why
    # And what can be read without them is read.
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "scan.nii.gz")
    assert [case.name for case in find(tmp_path).cases] == ["scan"]


def test_channels_are_not_to_be_named(tmp_path: Path) -> None:
    study(tmp_path / "anna", modalities=("T1",))
    with pytest.raises(ConfigError, match="the headers of its series tell"):
        find(tmp_path, channels=("T1",))


def test_geometry_is_in_ras(tmp_path: Path) -> None:
    study(tmp_path / "anna", modalities=("T1",))
    grid: Geometry = find(tmp_path).cases[0].load().geometry
    assert grid.unit == "mm"
    assert grid.spacing == (3, 1, 1)
    assert geometry_of(grid.shape, np.array(grid.affine)).axes == grid.axes
