from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from mriseg.errors import InputError
from mriseg.io.dicom.encapsulated import check_pixels
from mriseg.io.dicom.headers import read_header
from tests.io.dicom.series import write_series


@pytest.fixture
def path(tmp_path: Path) -> Path:
    array = np.arange(60, dtype=np.uint16).reshape(6, 5, 2)
    path = write_series(tmp_path, array, np.diag([-1.0, -1.0, 3.0, 1.0]), "T1")[0]
    data = pydicom.dcmread(path)
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(path)
    return path


def test_whole_pixels_pass_and_cut_ones_do_not(path: Path) -> None:
    check_pixels(read_header(path))
    content = path.read_bytes()
    for cut in range(1, 60, 7):
        path.write_bytes(content[:-cut])
        with pytest.raises(InputError, match="IM0000 is cut off within its compressed pixels"):
            check_pixels(read_header(path))


def test_a_piece_that_claims_too_much_is_refused(path: Path) -> None:
    header, content = read_header(path), bytearray(path.read_bytes())
    content[header.pixel_place + 16 : header.pixel_place + 20] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cut off"):
        check_pixels(read_header(path))


def test_pixels_that_are_not_compressed_are_not_walked_through(path: Path) -> None:
    check_pixels(replace(read_header(path), pixels=60, path=path.with_name("missing")))
