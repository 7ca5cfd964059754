from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io.dicom.studies import SeriesBook, headers_in, notes_on, series_among
from tests.io.dicom.series import write_series

AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])
ARRAY = np.ones((6, 5, 3), np.uint16)


def two_series(folder: Path) -> tuple[list[Path], list[Path]]:
    first = write_series(folder / "a", ARRAY, AFFINE, "AX T1", number=2)
    second = write_series(folder / "a", ARRAY, AFFINE, "ADC\nmap", number=1, seed=1)
    # Both series in one folder: names of the second are others.
    again = write_series(folder / "a2", ARRAY, AFFINE, "AX T1", number=2)
    for path in again:
        path.rename(folder / "a" / f"T1_{path.name}")
    del first
    return sorted((folder / "a").glob("T1_*")), sorted(second)


def test_series_are_told_apart_by_their_headers(tmp_path: Path) -> None:
    t1, adc = two_series(tmp_path)
    (tmp_path / "a" / "notes.txt").write_text("no DICOM")
    (tmp_path / "a" / "broken").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    unused: dict[Path, str] = {}
    problems: dict[Path, str] = {}
    headers = headers_in(sorted((tmp_path / "a").iterdir()), unused, problems)
    series = series_among(headers)
    assert [one.paths for one in series] == [tuple(adc), tuple(t1)]
    assert [one.guess.modality for one in series] == ["", "T1"]
    assert {path.name for path in {**unused, **problems}} == {"broken"}
    # What a header says stays on one line.
    assert series[0].described == '1 "ADC\\x0amap": diffusion' or "\n" not in series[0].described
    notes = notes_on({"T1": series[1]}, [series[0]], tmp_path)
    assert notes["T1 series"] == '2 "AX T1": T1 by its description'
    assert notes["other series"].startswith("a/IM0000 = 1 ")


def test_a_file_stands_for_its_series(tmp_path: Path) -> None:
    t1, adc = two_series(tmp_path)
    book = SeriesBook()
    assert book.series_of(t1[1]) == tuple(t1)
    assert book.series_of(adc[2]) == tuple(adc)
    broken = tmp_path / "x"
    broken.write_bytes(b"x" * 300)
    with pytest.raises(InputError, match="x is not a DICOM file"):
        book.series_of(broken)
