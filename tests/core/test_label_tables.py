from __future__ import annotations

import re
import shlex

from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.label_tables import (
    Label,
    itk_snap_text,
    labels_of,
    opening_lines,
    slicer_text,
)
from mriseg.core.regions import own_labels
from mriseg.core.tumour_labels import TUMOUR_REGIONS

COLOURS = [(230, 159, 0), (86, 180, 233), (204, 121, 167)]

# As the reader of ITK-SNAP takes lines apart: seven numbers, and a name in quotes.
_ITK_SNAP = re.compile(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([\d.]+)\s+([01])\s+([01])\s+"([^"]*)"')


def test_the_labels_of_nested_regions_say_where_they_are() -> None:
    labels = labels_of(TUMOUR_REGIONS, COLOURS)
    assert labels == [
        Label(1, "TC outside ET", COLOURS[1]),
        Label(2, "WT outside TC", COLOURS[0]),
        Label(4, "ET", COLOURS[2]),
    ]


def test_the_files_are_as_the_programs_read_them() -> None:
    labels = labels_of(TUMOUR_REGIONS, COLOURS)
    lines = [line for line in itk_snap_text(labels).splitlines() if not line.startswith("#")]
    entries = [_ITK_SNAP.fullmatch(line) for line in lines]
    assert [entry and (int(entry[1]), entry[8]) for entry in entries] == [
        (0, "Clear Label"),
        *((label.value, label.name) for label in labels),
    ]
    text = slicer_text(labels).splitlines()
    assert text[0].startswith("# Color table file")
    assert text[1] == "# 4 values"
    assert text[2:] == [
        "0 Background 0 0 0 0",
        "1 TC_outside_ET 86 180 233 255",
        "2 WT_outside_TC 230 159 0 255",
        "4 ET 204 121 167 255",
    ]


@given(
    st.dictionaries(
        st.text("ab \"'_.-", min_size=1, max_size=6),
        st.sets(st.integers(1, 6), min_size=1).map(lambda s: tuple(sorted(s))),
        min_size=1,
        max_size=3,
    )
)
def test_any_regions_make_files_that_can_be_read(regions: dict[str, tuple[int, ...]]) -> None:
    labels = labels_of(regions, COLOURS[: len(regions)])
    assert {label.value for label in labels} == {*own_labels(regions)}
    for line in itk_snap_text(labels).splitlines()[2:]:
        assert _ITK_SNAP.fullmatch(line)
    for line in slicer_text(labels).splitlines()[2:]:
        assert len(line.split(" ")) == 6


def test_one_line_opens_scan_and_mask() -> None:
    lines = opening_lines("anna.nii.gz", scan="flair.nii.gz")
    assert lines["ITK-SNAP"] == "itksnap -g flair.nii.gz -s anna.nii.gz -l labels-itksnap.txt"
    program, option, script = shlex.split(lines["3D Slicer"])
    assert (program, option) == ("Slicer", "--python-code")
    compile(script, "script", "exec")
    assert "loadColorTable('labels-slicer.ctbl')" in script
