"""Damage to DICOM files that knows their elements (https://dicom.nema.org, part 5)."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from random import Random

import numpy as np
import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    RLELossless,
)

from mriseg.testing import phantoms
from tests.fuzz.bytes_ import EDGES, damaged
from tests.io.dicom.series import write_series

_SHAPE = (4, 34, 32)
_AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])
_DESCRIPTIONS = {"t1": "AX T1 SE", "flair": "AX FLAIR"}
# What geometry, sizes and grouping rest on.
_KEYWORDS = (
    "Rows Columns BitsAllocated BitsStored SamplesPerPixel PixelRepresentation NumberOfFrames "
    "PixelSpacing ImagePositionPatient ImageOrientationPatient RescaleSlope RescaleIntercept "
    "SliceThickness InstanceNumber SeriesInstanceUID StudyInstanceUID PatientID SOPClassUID "
    "SeriesDescription ImageType EchoTime Modality"
)
_NUMBERS = ("nan", "inf", "-1", "0", "1e300", "1e-300", "9" * 16, "x", "")


def plant_dicom(root: Path) -> None:
    """A study of two series; every other file of one of them is compressed."""
    images, _ = phantoms.head(np.random.default_rng(0), _SHAPE)
    for number, (name, text) in enumerate(_DESCRIPTIONS.items(), start=1):
        array = np.ascontiguousarray(images[name].transpose(2, 1, 0)).astype(np.uint16)
        paths = write_series(root / "anna" / name, array, _AFFINE, text, number=number)
    for path in paths:
        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)


def damaged_dicom(rng: Random, content: bytes) -> bytes:
    """A file with one of its elements damaged, or its bytes."""
    way = rng.random()
    if way < 0.35:
        return damaged(rng, content)
    if way < 0.5:
        return _wrong_length(rng, content)
    if way < 0.6:
        return _bomb(rng, content)
    try:
        return _changed(rng, content)
    except Exception:  # what pydicom does not write is damaged in another way
        return damaged(rng, content)


def _wrong_length(rng: Random, content: bytes) -> bytes:
    """An element that says it is longer or shorter than it is; some say gigabytes."""
    changed = bytearray(content)
    places = [at for at in range(140, len(content) - 12) if content[at : at + 2].isupper()]
    if places:
        at = rng.choice(places)
        struct.pack_into("<H", changed, at + 2, rng.choice(EDGES) & 0xFFFF)
        if rng.random() < 0.3:
            changed[at : at + 2] = rng.choice((b"UN", b"SQ", b"OB", b"UT"))
            struct.pack_into("<I", changed, at + 4, rng.choice(EDGES) & 0xFFFFFFFF)
    return bytes(changed)


def _bomb(rng: Random, content: bytes) -> bytes:
    """A few bytes that claim to be, or unpack to, far more."""
    if rng.random() < 0.5:
        data = pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=True)
        data.Rows, data.Columns, data.NumberOfFrames = 65535, rng.choice((1, 65535)), "99999"
        return _saved(data)
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(bytes(60_000_000)) + packer.flush()
    meta = content[:140] + content[140:].replace(
        b"1.2.840.10008.1.2.1\0", DeflatedExplicitVRLittleEndian.encode()[:20], 1
    )
    return meta[:400] + packed


def _changed(rng: Random, content: bytes) -> bytes:
    data = pydicom.dcmread(io.BytesIO(content), force=True)
    for _ in range(rng.choice((1, 1, 2))):
        keyword = rng.choice(_KEYWORDS.split())
        way = rng.random()
        if way < 0.3 and keyword in data:
            del data[keyword]
        elif way < 0.45:
            syntax = rng.choice((ExplicitVRBigEndian, JPEG2000Lossless, RLELossless))
            data.file_meta.TransferSyntaxUID = syntax
        elif keyword in data:
            _set(rng, data, keyword)
    return _saved(data)


def _set(rng: Random, data: pydicom.Dataset, keyword: str) -> None:
    element = data[keyword]
    if element.VR == "US":
        element.value = rng.choice(EDGES) & 0xFFFF
        return
    with pydicom.config.disable_value_validation():
        count = max(1, element.VM) if rng.random() < 0.7 else rng.choice((1, 2, 7))
        text = [rng.choice(_NUMBERS) for _ in range(count)]
        element._value = text if len(text) > 1 else text[0]


def _saved(data: pydicom.Dataset) -> bytes:
    file = io.BytesIO()
    with pydicom.config.disable_value_validation():
        data.save_as(file, enforce_file_format=False)
    return file.getvalue()
