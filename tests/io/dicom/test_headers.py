"""What a file is by its content, and headers that claim what cannot be."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian

from mriseg.errors import InputError
from mriseg.io.dicom.headers import is_dicom, read_header
from tests.io.dicom.series import write_series

AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_series(tmp_path, np.ones((6, 5, 2), np.uint16), AFFINE, "AX T1", EchoTime="12")[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes(128) + b"DICM", True),
        (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", True),
        (b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100", True),
        (b"\x02\x00\x00\x00UL\x04\x00\xc8\x00\x00\x00\x02\x00\x01\x00", True),
        (b"", False),
        (b"DICM", False),
        (b"\x1f\x8b\x08\x00" + bytes(200), False),
        (b"\x08\x00" * 70, False),
        (struct.pack("<i", 348) + bytes(344), False),
        (b"a text of some length, as people write them", False),
    ],
)
def test_dicom_is_known_by_its_content(tmp_path: Path, content: bytes, expected: bool) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert is_dicom(path) is expected


def test_a_path_that_is_no_file_is_no_dicom(tmp_path: Path) -> None:
    assert not is_dicom(tmp_path)
    assert not is_dicom(tmp_path / "missing")


def test_what_a_header_says(path: Path) -> None:
    header = read_header(path)
    assert (header.kind, header.number, header.image, header.mosaic) == ("", 1, 1, False)
    assert (header.facts.description, header.facts.echo_time) == ("AX T1", 12)
    assert header.slices[0].position == (0, 0, 0)
    assert header.pixels == 60
    assert header.pixel_place > 132


def test_the_patient_is_known_by_a_digest_alone(path: Path) -> None:
    header = read_header(path)
    assert "ID4711" not in repr(header)
    assert "doe" not in repr(header).lower()
    assert header.identifiers == ("id4711", "jane")
    data = pydicom.dcmread(path)
    data.PatientIdentityRemoved = "YES"
    data.save_as(path)
    assert read_header(path).identifiers == ()


def test_more_pixels_than_a_scan_has_are_refused(path: Path) -> None:
    data = pydicom.dcmread(path)
    data.Rows = data.Columns = 65535
    data.NumberOfFrames = "100000"
    data.save_as(path)
    with pytest.raises(InputError, match="claims 100000 x 65535 x 65535 pixels"):
        read_header(path)


def test_a_header_that_may_unpack_to_anything_is_refused(path: Path) -> None:
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.SeriesDescription = " " * 10_000_000
    data.save_as(path)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(InputError, match="deflated transfer syntax.*dcmconv"):
        read_header(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_text_that_claims_gigabytes_takes_none(path: Path) -> None:
    content = path.read_bytes()
    # The description's length, 2 bytes after its tag and kind; the rest of the file becomes it.
    at = content.index(b"\x08\x00\x3e\x10LO")
    path.write_bytes(content[: at + 4] + b"UT\0\0" + struct.pack("<I", 0xF0000000) + content[at:])
    tracemalloc.start()
    assert read_header(path).kind == "DICOM without an image"
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_damage_anywhere_is_one_message(path: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_header(damaged)
    except InputError as error:
        assert str(error).startswith("damaged ")
        assert len(str(error)) < 1000
