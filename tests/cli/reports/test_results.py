from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from mriseg.cli.reports import results
from mriseg.recipes.predict import CasePrediction, PredictReport
from mriseg.recipes.preprocess import CaseReport, PreprocessReport


def plain_console(width: int = 200) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=False, width=width, highlight=False), file


def test_tables_show_names_as_they_are() -> None:
    console, file = plain_console()
    report = PreprocessReport(
        "s.zarr",
        "brats",
        {"WT": (1,)},
        (
            CaseReport("[t1]", "skipped", "bad \x1b[31mfile"),
            CaseReport("fine", "written", labelled=True),
        ),
    )
    results.preprocessed(console, report)
    text = file.getvalue()
    assert "[t1]" in text and r"bad \x1b[31mfile" in text
    assert "fine" not in text
    assert text.endswith("s.zarr: 2 cases (1 written, 1 skipped), 1 labelled\n")


def test_volumes_have_their_unit() -> None:
    console, file = plain_console()
    cases = (
        CasePrediction("a", Path("a.nii.gz"), {"WT": 1.234}, "mm"),
        CasePrediction("b", Path("b.nii.gz"), {"WT": 1234.0}, "px"),
    )
    results.predicted(console, PredictReport(cases, ()))
    text = file.getvalue()
    assert "WT (mL or voxels)" in text and " 1.23 " in text and " 1234 " in text


def test_masks_that_were_kept_are_marked_and_none_is_no_table() -> None:
    console, file = plain_console()
    case = CasePrediction("a", Path("a.nii.gz"), {"WT": 1.0}, "mm", kept=True)
    results.predicted(console, PredictReport((case,), ()))
    assert "a.nii.gz (kept)" in file.getvalue()
    console, file = plain_console()
    results.predicted(console, PredictReport((), (("a", "in the way"),)))
    assert file.getvalue() == ""


def test_one_case_is_one_case() -> None:
    console, file = plain_console()
    results.preprocessed(
        console, PreprocessReport("s.zarr", "brats", {"WT": (1,)}, (CaseReport("a", "kept"),))
    )
    assert file.getvalue() == "s.zarr: 1 case (1 kept), 0 labelled\n"


def test_the_name_of_a_case_stays_whole_in_a_narrow_terminal() -> None:
    console, file = plain_console(60)
    name = "TCGA_HT_8106_19970727"
    mask = Path("a/very/long/folder/for/masks") / f"{name}.nii.gz"
    volumes = {"WT": 12.3, "enhancing": 4.5}
    results.predicted(console, PredictReport((CasePrediction(name, mask, volumes, "mm"),), ()))
    (row,) = [line for line in file.getvalue().splitlines() if "12.30" in line]
    assert row.split()[0] == name and "4.50" in row


def test_cases_that_need_a_look_come_first_with_what_is_known_of_them() -> None:
    from mriseg.core.certainty import RegionCertainty

    sure = {"WT": RegionCertainty(0.91, 0.9, 10.0, 15.0, 1, 0.8)}
    unsure = {"WT": RegionCertainty(0.52, 0.9, 4.0, 31.5, 3, 0.8)}
    volumes = {"WT": 12.0}
    cases = (
        CasePrediction("a", Path("a.nii"), volumes, "mm", certainty=sure),
        CasePrediction("b", Path("b.nii"), volumes, "mm", certainty=unsure, flags=("without T2",)),
    )
    console, file = plain_console()
    results.predicted(console, PredictReport(cases, ()))
    text = file.getvalue()
    assert text.index("b.nii") < text.index("a.nii")
    assert "4.00 to 31.50" in text and "0.52" in text and "without T2" in text
    assert text.endswith("look at these first: b\n")
    # Of masks of an earlier mriseg nothing is known: no columns, and nobody is sent anywhere.
    console, file = plain_console()
    old = tuple(CasePrediction(name, Path(name), volumes, "mm") for name in "ab")
    results.predicted(console, PredictReport(old, ()))
    assert "Dice" not in file.getvalue() and "look at these" not in file.getvalue()
