"""Tables and JSON: what goes in comes back, the undefined as missing, and nothing half-written."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mriseg.errors import InputError, OutputError
from mriseg.io.disk.documents import (
    plain,
    read_picture,
    read_record,
    write_csv,
    write_json,
    write_text,
)

# The folder is shared by a test's examples; each writes the whole file again.
modest = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Python's reader treats a carriage return within a cell as a line ending.
text = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@modest
@given(rows=st.lists(st.fixed_dictionaries({"case": text, "dice": st.floats()}), min_size=1))
def test_a_table_reads_back(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    write_csv(tmp_path / "t.csv", rows)
    table = read(tmp_path / "t.csv")
    assert [row["case"] for row in table] == [row["case"] for row in rows]
    for row, cell in zip(rows, (row["dice"] for row in table), strict=True):
        assert float(cell) == row["dice"] if math.isfinite(row["dice"]) else cell == ""


def test_columns_are_the_union_in_order_of_appearance(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"b": 1, "a": None}, {"c": np.float32(0.5), "b": 2}])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").split() == ["b,a,c", "1,,", "2,,0.5"]


@dataclass(frozen=True)
class Score:
    dice: float
    where: Path


def test_json_is_strict_and_keeps_what_it_can(tmp_path: Path) -> None:
    value = {
        "scores": (Score(math.nan, Path("a")), Score(0.5, Path("b"))),
        "array": np.array([[1, 2]], dtype=np.uint8),
        "number": np.float64(math.inf),
        "half": np.float32(0.5),
        3: [None, True, "Zürich"],
    }
    write_json(tmp_path / "t.json", value)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads((tmp_path / "t.json").read_text("utf-8"), parse_constant=refuse)
    assert document == {
        "scores": [{"dice": None, "where": "a"}, {"dice": 0.5, "where": "b"}],
        "array": [[1, 2]],
        "number": None,
        "half": 0.5,
        "3": [None, True, "Zürich"],
    }


@modest
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | text,
        lambda inner: st.lists(inner) | st.dictionaries(text, inner),
        max_leaves=8,
    )
)
def test_plain_values_are_strict_json_and_stay_as_they_are(value: Any) -> None:
    once = plain(value)
    assert json.loads(json.dumps(once, allow_nan=False)) == once
    assert plain(once) == once


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path], "a temporary file was left behind"


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_csv(tmp_path / "taken" / "t.csv", [{"a": 1}])
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(tmp_path / "taken" / "t.json", {"a": 1})


def test_json_is_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"ä": [1, None]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"ä": [1, None]} and text.endswith("\n")


def test_text_has_the_same_bytes_everywhere_and_pictures_come_back(tmp_path: Path) -> None:
    write_text(tmp_path / "page.html", "a\né")
    assert read_picture(tmp_path / "page.html") == "a\né".encode()
    with pytest.raises(InputError, match=r"none\.png cannot be read"):
        read_picture(tmp_path / "none.png")


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_a_text_is_no_formula_where_a_spreadsheet_reads_it(tmp_path: Path, start: str) -> None:
    path = tmp_path / "a.csv"
    row = {"text": f"{start}1+1", "number": -1.5, "plain": "a=b"}
    for spreadsheet, text in ((True, f"'{start}1+1"), (False, f"{start}1+1")):
        write_csv(path, [row], spreadsheet=spreadsheet)
        with path.open(encoding="utf-8", newline="") as file:
            assert list(csv.reader(file))[1] == [text, "-1.5", "a=b"]


def test_a_record_is_opened_absent_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"

    def opened() -> Mapping[str, Any] | None:
        return read_record(path, "mine", foreign="a record; move it", error=OutputError)

    assert opened() is None
    path.write_text('{"format": "mine", "n": 1}')
    assert opened() == {"format": "mine", "n": 1}
    for text in ("{", "[]", '{"format": "yours"}'):
        path.write_text(text)
        with pytest.raises(OutputError, match="is not a record; move it"):
            opened()
    path.write_bytes(bytes([0xFF, 0xFE, 0]))
    with pytest.raises(OutputError, match="cannot be read"):
        opened()
