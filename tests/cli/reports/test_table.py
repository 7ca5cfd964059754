from __future__ import annotations

import io

import pytest
from rich.console import Console

from mriseg.cli.reports.table import number, pairs, table

COLUMNS = ("case", "region", "Dice", "IoU", "sensitivity", "volume (mL)", "notes")
ROW = ("TCGA_HT_8106_19970727", "WT", "0.913", "0.840", "0.905", "115.20", "")
SENTENCE = "it lacks FLAIR, which every training case had; name the others"


def drawn(width: int, *, note: str = "", optional: tuple[str, ...] = ()) -> tuple[str, list[str]]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=False, width=width, highlight=False)
    left_out = table(console, COLUMNS, [(*ROW[:-1], note)], text=2, optional=optional)
    return file.getvalue(), list(left_out)


def test_all_columns_where_there_is_room() -> None:
    text, left_out = drawn(120, optional=("IoU", "sensitivity"))
    assert left_out == []
    assert all(word in text for word in (*COLUMNS, *ROW))


def test_columns_are_left_out_before_a_name_or_a_number_is_broken() -> None:
    text, left_out = drawn(64, optional=("IoU", "sensitivity"))
    assert left_out == ["IoU", "sensitivity"]
    assert "0.840" not in text and "0.905" not in text
    (row,) = [line for line in text.splitlines() if ROW[0] in line]
    assert all(cell in row for cell in ("WT", "0.913", "115.20"))
    # No more than has to go.
    assert drawn(72, optional=("IoU", "sensitivity"))[1] == ["IoU"]


@pytest.mark.parametrize("width", [92, 100])
def test_a_sentence_is_folded_in_place_of_names(width: int) -> None:
    text, _ = drawn(width, note=SENTENCE)
    assert SENTENCE not in text
    assert all(word in text for word in (*ROW[:-1], *SENTENCE.split()))


def test_pairs_without_a_value_are_left_out() -> None:
    file = io.StringIO()
    pairs(Console(file=file, width=80), {"store": "a [b].zarr", "curves": "", "cases": "3"})
    assert file.getvalue() == "store   a [b].zarr\ncases   3\n\n"


def test_numbers_that_are_undefined_are_dashes() -> None:
    assert [number(x) for x in (None, float("nan"), 0.12345)] == ["-", "-", "0.123"]
