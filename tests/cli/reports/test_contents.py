"""A long store's first cases are listed, and how to see the others is said."""

from __future__ import annotations

import pytest

from mriseg.cli.reports import contents
from mriseg.recipes.info import StoredCase, StoreInfo
from tests.cli.reports.test_results import plain_console

NAME = "TCGA_HT_8106_19970727_{}"


def a_store(count: int) -> StoreInfo:
    listed = tuple(
        StoredCase(
            name=NAME.format(number),
            patient=NAME.format(number)[:12],
            modalities=("T1", "T1CE", "FLAIR"),
            labelled=number > 0,
            size=(256, 256, 20),
            spacing=(0.9375, 0.9375, 5.0),
            unit="mm",
            voxels={"WT": 1500} if number else {},
            volumes={"WT": 6.592} if number else {},
            notices=(),
            head="whole" if number else "stripped",
        )
        for number in range(count)
    )
    return StoreInfo(
        "x.zarr", "lgg", {"WT": (1,)}, {}, count, count, count - 1, 9, {}, {"WT": 3}, listed
    )


@pytest.mark.parametrize("width", [60, 80, 110])
def test_the_first_cases_are_listed_and_all_on_request(width: int) -> None:
    console, file = plain_console(width)
    contents.store(console, a_store(25))
    text = file.getvalue()
    assert text.count("TCGA_HT_8106_19970727") == 20
    assert "the first 20 of 25 cases; --all lists all" in text
    assert "1 stripped, 24 whole" in text
    rows = [line for line in text.splitlines() if "TCGA" in line]
    assert rows[0].split()[-1] == "unlabelled" and rows[1].split()[-1] == "6.59"
    assert all(line.split()[0] == NAME.format(n) for n, line in enumerate(rows))
    console, file = plain_console(width)
    contents.store(console, a_store(25), every=True)
    assert file.getvalue().count("TCGA_HT_8106_19970727") == 25
    assert "--all" not in file.getvalue()


def test_an_empty_store_has_no_table() -> None:
    console, file = plain_console()
    contents.store(console, a_store(0))
    assert "0 of 0 patients" in file.getvalue() and "spacing" not in file.getvalue()
