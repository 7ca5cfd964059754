"""Volumes written out as series of DICOM files, by pydicom alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def uid(*seeds: str) -> str:
    return generate_uid(entropy_srcs=["mriseg test", *seeds])


def write_series(
    folder: Path,
    array: NDArray[Any],
    affine: NDArray[Any],
    description: str,
    *,
    number: int = 1,
    patient: str = "ID4711",
    study: str = "1",
    seed: int | None = None,
    **elements: Any,
) -> list[Path]:
    """Write [i, j, k] uint16 at a RAS+ affine as a file for each k; i runs along a row.

    Args:
        folder: where to.
        array: what to write.
        affine: where it lies.
        description: of the series.
        number: of the series.
        patient: the ID.
        study: which study.
        seed: names the files in a random order.
        elements: further elements of every header, by keyword.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lps = _TO_LPS @ affine
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    row, column = lps[:3, 0] / sizes[0], lps[:3, 1] / sizes[1]
    names = list(range(array.shape[2]))
    if seed is not None:
        names = np.random.default_rng(seed).permutation(array.shape[2]).tolist()
    paths = []
    for k in range(array.shape[2]):
        data = _base(description, number, patient, study)
        data.SOPInstanceUID = uid(patient, study, str(number), str(k))
        data.InstanceNumber = k + 1
        data.Rows, data.Columns = array.shape[1], array.shape[0]
        data.PixelSpacing = [_text(sizes[1]), _text(sizes[0])]
        data.ImageOrientationPatient = [_text(value) for value in (*row, *column)]
        data.ImagePositionPatient = [_text(v) for v in lps[:3, 3] + k * lps[:3, 2]]
        data.SliceThickness = _text(sizes[2])
        data.PixelData = np.ascontiguousarray(array[:, :, k].T.astype("<u2")).tobytes()
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        path = folder / f"IM{names[k]:04d}"
        save(data, path)
        paths.append(path)
    return paths


def save(data: Dataset, path: Path) -> None:
    """Write a dataset, with the preamble."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta = meta
    data.save_as(path, enforce_file_format=True)


def _text(value: float) -> str:
    return f"{value:.14g}"[:16] if abs(value) > 1e-9 else "0"


def _base(description: str, number: int, patient: str, study: str) -> Dataset:
    data = Dataset()
    data.SOPClassUID = MRImageStorage
    data.SpecificCharacterSet = "ISO_IR 100"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    data.StudyDate, data.StudyTime = f"2020010{study}", "101010"
    data.ContentDate, data.ContentTime = "20200101", "101010"
    data.AccessionNumber = ""
    data.ReferringPhysicianName = ""
    data.Modality = "MR"
    data.Manufacturer = "SIEMENS"
    data.SeriesDescription = description
    data.PatientName, data.PatientID = "Doe^Jane", patient
    data.PatientBirthDate, data.PatientSex = "19700101", "F"
    data.StudyInstanceUID = uid(patient, study)
    data.SeriesInstanceUID = uid(patient, study, str(number))
    data.FrameOfReferenceUID = uid(patient, study, "frame")
    data.PositionReferenceIndicator = ""
    data.StudyID, data.SeriesNumber = study, number
    data.ScanningSequence, data.SequenceVariant, data.ScanOptions = "SE", "NONE", ""
    data.MRAcquisitionType = "2D"
    data.EchoTrainLength = 1
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = 0
    return data
