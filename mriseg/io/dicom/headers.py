"""What a file of DICOM is, by its content, and what its header says; no pixel is read.

A header may be anybody's: what it claims is bounded by the file's own size, and whatever pydicom
stumbles over is one sentence.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mriseg.core.dicom_stack import SlicePlace
from mriseg.core.series import SeriesFacts
from mriseg.core.volume import sides
from mriseg.errors import InputError, reason_of
from mriseg.io.dicom.elements import facts_of, slices_of, texts_of, whole_of
from mriseg.io.dicom.extra import READING
from mriseg.io.disk.schemas import MAX_VOXELS
from mriseg.io.disk.untrusted import open_regular

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PREAMBLE = 128
# Elements with which a file without preamble begins, of groups 2 and 8.
_FIRST_ELEMENTS = frozenset(
    {0x0000, 0x0001, 0x0005, 0x0008, 0x0012, 0x0013, 0x0014, 0x0016, 0x0018}
)
_DEFLATED = "1.2.840.10008.1.2.1.99"
_MAX_TEXT = 64

# Everything that is read of a header.
_TAGS = (
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID StudyDate StudyTime "
    "PatientID PatientName PatientIdentityRemoved Modality SeriesDescription ProtocolName "
    "ImageType EchoTime RepetitionTime InversionTime ScanningSequence ContrastBolusAgent "
    "DiffusionBValue BodyPartExamined SeriesNumber InstanceNumber Rows Columns SamplesPerPixel "
    "BitsAllocated NumberOfFrames PixelSpacing ImagePositionPatient ImageOrientationPatient "
    "RescaleSlope RescaleIntercept SharedFunctionalGroupsSequence "
    "PerFrameFunctionalGroupsSequence"
)
# SOP classes of MR images: classic, enhanced, enhanced by conversion.
_IMAGES = frozenset(f"1.2.840.10008.5.1.4.1.1.4{ending}" for ending in ("", ".1", ".4"))
_INDEX = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class DicomHeader:
    """What is used of a file's header.

    Attributes:
        path: the file.
        study: UID.
        series: UID.
        instance: UID.
        patient: a digest of the patient's ID, by which two files of one patient are known.
        when: date and time of the study, to put studies in order.
        identifiers: words that say who the patient is; empty where they were removed.
        number: of the series.
        image: number of the image in the series.
        facts: what a guess of the modality rests on; of this file alone.
        slices: where its frames lie.
        mosaic: its one frame shows many slices beside each other, as Siemens has it.
        kind: why it is not an image of MR; else empty.
        pixels: bytes that its pixels take up, if they are not compressed; else 0.
        pixel_place: where they begin in the file.
    """

    path: Path
    study: str = ""
    series: str = ""
    instance: str = ""
    patient: str = ""
    when: str = field(default="", repr=False)
    identifiers: tuple[str, ...] = field(default=(), repr=False)
    number: int | None = None
    image: int = 0
    facts: SeriesFacts = SeriesFacts()
    slices: tuple[SlicePlace, ...] = ()
    mosaic: bool = False
    kind: str = ""
    pixels: int = 0
    pixel_place: int = 0

    @property
    def stack(self) -> tuple[str, float | None, tuple[str, ...]]:
        """Equal for the files of one volume: several echoes, or magnitude and phase, are not."""
        return self.series, self.facts.echo_time, self.facts.image_type


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its first bytes, with a preamble or without; never raises."""
    try:
        with open_regular(path) as file:
            start = file.read(_PREAMBLE + 4)
    except (OSError, ValueError):
        return False
    if start[_PREAMBLE:] == b"DICM":
        return True
    if len(start) < 16:
        return False
    group, element = int.from_bytes(start[:2], "little"), int.from_bytes(start[2:4], "little")
    if group not in (2, 8) or element not in _FIRST_ELEMENTS:
        return False
    is_explicit = start[4:6] in (b"UL", b"CS", b"UI", b"OB", b"DA", b"TM")
    length = int.from_bytes(start[4:8], "little")
    return is_explicit or (length <= _PREAMBLE and length % 2 == 0)


def read_header(path: Path) -> DicomHeader:
    """The header of a file.

    Raises:
        InputError: it is not DICOM or is damaged, in one sentence that begins with its name.
        ConfigError: pydicom is not installed.
    """
    if not is_dicom(path):
        raise InputError(f"{path.name} is not a DICOM file, or cannot be read")
    data, rest = parsed(path, tags=_TAGS.split())
    try:
        return _header(path, data, path.stat().st_size - rest, rest)
    except InputError:
        raise
    except Exception as error:  # pydicom converts values when they are asked for
        raise InputError(
            f"{path.name} has a DICOM header that cannot be read: {reason_of(error)}"
        ) from error


def parsed(path: Path, tags: Sequence[str] | None = None) -> tuple[Dataset, int]:
    """A file's header as pydicom has it, and how many bytes lie behind it.

    Args:
        path: the file.
        tags: read only these; None: all but the pixels.

    Raises:
        InputError: it cannot be read.
    """
    pydicom = READING.library("pydicom")
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bounded = _Bounded(file)
            _refuse_deflated(path, bounded)
            data = pydicom.dcmread(
                bounded, stop_before_pixels=True, force=True, specific_tags=tags and [*tags]
            )
            return data, bounded.size - bounded.tell()
    except InputError:
        raise
    # Whatever a damaged header brings about in pydicom.
    except Exception as error:
        raise InputError(
            f"{path.name} has a DICOM header that cannot be read: {reason_of(error)}"
        ) from error


class _Bounded:
    """A file that gives no more than it has: a header may claim gigabytes of a text."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self._file.tell())
        return self._file.read(left if size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _refuse_deflated(path: Path, file: _Bounded) -> None:
    """Refuse a header that is compressed as a whole: it may unpack to anything."""
    start = file.read(4096)
    file.seek(0)
    if _DEFLATED.encode() in start:
        raise InputError(
            f"{path.name} is DICOM in the deflated transfer syntax, which is not read: unpack it, "
            f"as with dcmconv +te (dcmtk)"
        )


def _header(path: Path, data: Dataset, place: int, rest: int) -> DicomHeader:
    sop = str(data.get("SOPClassUID", ""))
    if kind := _kind(sop, data):
        return DicomHeader(path, kind=kind)
    rows, columns = int(data.get("Rows", 0) or 0), int(data.get("Columns", 0) or 0)
    frames = int(data.get("NumberOfFrames", 1) or 1)
    if min(rows, columns, frames) < 1 or not rest:
        return DicomHeader(path, kind="DICOM without an image")
    if rows * columns * frames > MAX_VOXELS:
        raise InputError(
            f"{path.name} claims {sides((frames, rows, columns))} pixels, more than a scan has"
        )
    pixels = _pixel_bytes(data, rows * columns * frames)
    if pixels > rest:
        raise InputError(
            f"{path.name} is cut off: its pixels take {pixels} bytes, and {rest} are there"
        )
    patient = str(data.get("PatientID", "") or "") or str(data.get("PatientName", "") or "")
    image_type = texts_of(data.get("ImageType"))
    return DicomHeader(
        path=path,
        study=str(data.get("StudyInstanceUID", "")),
        series=str(data.get("SeriesInstanceUID", "")),
        instance=str(data.get("SOPInstanceUID", "")),
        patient=hashlib.sha256(patient.strip().encode()).hexdigest(),
        when=f"{data.get('StudyDate', '') or ''}{data.get('StudyTime', '') or ''}",
        identifiers=_identifiers(data),
        number=whole_of(data.get("SeriesNumber")),
        image=whole_of(data.get("InstanceNumber")) or 0,
        facts=facts_of(data, image_type, frames),
        slices=tuple(slices_of(path, data, (rows, columns), frames)),
        mosaic="MOSAIC" in image_type,
        pixels=pixels,
        pixel_place=place,
    )


def _kind(sop: str, data: Dataset) -> str:
    """Why a file is not an image of MR; or nothing."""
    if sop == _INDEX or "DirectoryRecordSequence" in data:
        return "DICOMDIR, an index of the files beside it, which are read without it"
    if sop in _IMAGES:
        return ""
    modality = str(data.get("Modality", "") or "")
    if not sop and modality == "MR":
        return ""
    name = str(READING.library("pydicom.uid").UID(sop).name) if sop else ""
    named = name if name and name != sop else modality
    return f"DICOM of another kind than MR images{f' ({named[:_MAX_TEXT]})' if named else ''}"


def _pixel_bytes(data: Dataset, pixels: int) -> int:
    syntax = getattr(data.file_meta, "TransferSyntaxUID", None)
    if syntax is not None and syntax.is_compressed:
        return 0
    bits = int(data.get("BitsAllocated", 16) or 16)
    return pixels * int(data.get("SamplesPerPixel", 1) or 1) * bits // 8


def _identifiers(data: Dataset) -> tuple[str, ...]:
    if str(data.get("PatientIdentityRemoved", "")) == "YES":
        return ()
    name = str(data.get("PatientName", "") or "").replace("^", " ").replace("=", " ")
    words = [str(data.get("PatientID", "") or ""), *name.split()]
    return tuple(word.strip().lower() for word in words if len(word.strip()) > 3)
