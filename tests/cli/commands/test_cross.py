"""mriseg cross-validate as typed: what is refused at once, and what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import FAST, Type


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--validation 0.2", "a cross-validation has no validation patients: leave out --valid"),
        ("--folds 3 --leave-out A=*", "--folds and --leave-out both say who is left out"),
        ("--leave-out nowhere.csv", "nowhere.csv: there is no such file; expected a table"),
        ("--leave-out A=", "expected GROUP=PATTERN"),
        ("--subsets T1+", "'T1+': expected all, or modalities"),
        ("--adopt DU", "--adopt DU: expected PART=RUN"),
        ("--freeze encoder", "name one with --from"),
        ("--folds 7", "cannot be divided into 7 folds"),
        ("--leave-out X=nobody*", "no case matches nobody*"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    worked: Path, type_in: Type, words: str, message: str
) -> None:
    result = type_in(worked, f"mriseg cross-validate out.zarr crossed {words} --backend cpu")
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert not (worked / "crossed").exists()


def test_a_calibration_is_for_one_training(worked: Path, type_in: Type) -> None:
    (worked / "c.toml").write_text('calibration = "crossed"\n')
    line = "mriseg cross-validate out.zarr crossed --config c.toml --backend cpu"
    result = type_in(worked, line)
    assert result.exit_code == 2 and "is for one training on all patients" in result.stderr


@pytest.mark.slow
def test_it_shows_each_group_and_subset_and_how_to_go_on(worked: Path, type_in: Type) -> None:
    (worked / "groups.csv").write_text(
        "case,group\nBraTS20_Training_001,A\nBraTS20_Training_002,B\n"
    )
    line = (
        f"mriseg cross-validate out.zarr crossed --leave-out groups.csv --subsets all,FLAIR "
        f"--width 8 {FAST}"
    )
    result = type_in(worked, line)
    assert result.exit_code == 0, result.output
    assert "A: 1 patient of 1 case held out, 2 patients of 2 cases train" in result.stderr
    assert "too few patients show each region to calibrate by" in " ".join(result.stderr.split())
    assert "2 patients, each by a run that never saw them" in " ".join(result.stdout.split())
    again = type_in(worked, line)
    assert again.exit_code == 0 and "2 of them already done" in " ".join(again.stderr.split())
    shared = type_in(worked, "mriseg share given --cross-validation crossed")
    assert shared.exit_code == 2 and "modalities" in shared.stderr or shared.exit_code == 0
    shown = type_in(worked, "mriseg info given").stdout
    assert "all patients, all modalities" in " ".join(shown.split())
