"""The command line as a whole: its help, its groups, and a mistake as one message."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from mriseg import __version__
from mriseg.cli.app import GROUPS, app
from tests.cli.conftest import Type

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"mriseg {__version__}\n"


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_help_can_be_shown(command: str | None) -> None:
    words = ["--help"] if command is None else [command, "--help"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "Usage: mriseg" in result.stdout


@pytest.mark.parametrize("words", ["--help", "train --help", "--version"])
def test_help_is_shown_before_anything_heavy_is_loaded(words: str) -> None:
    code = (
        "import sys\nfrom mriseg.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print(*{n.split('.')[0] for n in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {"torch", "zarr", "nibabel", "scipy", "PIL", "numpy", "tensorboard"}


def test_the_commands_are_in_groups_and_the_help_says_where_to_start() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert "Start with: mriseg demo" in text
    titles = [title for title in re.findall(r"[-─]+ (\w[\w ]+) [-─]+", text) if title != "Options"]
    assert titles == list(GROUPS)
    names = [c.__name__.replace("_", "-") for group in GROUPS.values() for c in group]
    assert names == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_that_it_can_parse(command: str) -> None:
    [example] = re.findall(r"^Example: mriseg (.+)$", COMMANDS[command].help, re.MULTILINE)
    name, *words = example.split()
    assert name == command
    COMMANDS[command].make_context(command, words)
    assert f"Example: mriseg {example}" in CliRunner().invoke(app, [command, "--help"]).stdout


def test_the_package_runs_as_a_module() -> None:
    ran = [sys.executable, "-m", "mriseg"]
    done = subprocess.run([*ran, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: mriseg [OPTIONS] COMMAND" in done.stdout
    done = subprocess.run([*ran, "info", "nowhere"], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stderr.startswith("error: ")


def test_the_shell_completes_commands_and_options() -> None:
    def completed(line: str) -> str:
        environment = {
            **os.environ,
            "_MRISEG_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
        command = [sys.executable, "-m", "mriseg"]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        ).stdout

    assert completed("mriseg pre").split() == ["predict", "preprocess"]
    assert completed("mriseg train --lear").split() == ["--learning-rate"]
    assert CliRunner().invoke(app, ["--help"]).stdout.count("completion") >= 2


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("preprocess nowhere a.zarr", 3, "there is no folder nowhere"),
        (
            "preprocess brats a.zarr --layout bidz",
            2,
            "known: bids, brats, dicom, flat, h5, lgg, nnunet",
        ),
        ("preprocess brats runs", 5, "runs is not an mriseg store"),
        ("train nowhere.zarr", 3, "nowhere.zarr does not exist"),
        ("train --modalities T1,PET", 2, "no modality PET"),
        ("train --regions ET", 2, "no region ET"),
        ("train --epochs 1 --budget 3m", 2, "give epochs or a budget"),
        ("train --budget soon", 2, "budget: 'soon' is not a duration"),
        ("train --budget 30", 2, "budget = '30': say the unit, such as 30m"),
        ("train --width 12", 2, "width = 12"),
        ("train --size 100", 2, "size = '100': expected height x width"),
        ("train --pos-weight -1", 2, "--pos-weight = '-1'"),
        ("train --loss dise", 2, "there is no loss 'dise'"),
        ("train --precision fp8", 2, "precision = 'fp8'"),
        ("train --encoder-weights none.pth", 3, "no encoder weights at none.pth"),
        ("train --run runs/x", 2, "add --resume"),
        ("train --resume", 3, "stopped before its end"),
        ("train --resume --epochs 3 --config x.toml", 2, "leave out --epochs, --config"),
        ("train --resume --run a --out b", 2, "--run and --out both name the run"),
        ("train --config none.toml", 2, "--config none.toml cannot be read"),
        ("transfer --from brats", 3, "brats is not a run folder"),
        (
            "transfer --folds 2 --sizes all",
            2,
            "--sizes, --folds: only for comparisons; add --compare",
        ),
        ("transfer --compare --patience 3", 2, "no validation patients: leave out --patience"),
        ("transfer --compare --freeze none", 2, "leave --freeze"),
        ("transfer --compare --methods lpft", 2, "there is no lpft; known: scratch"),
        ("transfer --compare", 2, "trained on 2 of the store's 3 patients"),
        ("predict brats out --model nowhere", 3, "nowhere does not exist"),
        ("predict nowhere out", 3, "there is no folder nowhere"),
        ("predict brats out --part 4/3", 2, "4/3 is not a part"),
        ("predict brats out --part 1/3 --cases A", 2, "--cases and --part both choose"),
        ("evaluate --masks brats", 2, "go together"),
        ("evaluate out.zarr --masks brats --truths brats", 2, "leave out STORE"),
        ("evaluate --regions WT=1", 2, "--regions goes with --masks"),
        ("info brats", 3, "neither a store"),
        ("demo --minutes 0", 2, "minutes = 0"),
    ],
)
def test_a_mistake_is_one_message(
    worked: Path, type_in: Type, line: str, code: int, message: str
) -> None:
    result = type_in(worked, f"mriseg {line}")
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stderr.count("error: ") == 1
    assert result.stdout == "" and "Traceback" not in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_word_that_is_no_command_or_number(worked: Path, type_in: Type) -> None:
    for line in ("mriseg fly", "mriseg train --epochs many", "mriseg predict onlyone"):
        assert type_in(worked, line).exit_code == 2


def test_a_folder_that_cannot_be_written(worked: Path, type_in: Type) -> None:
    (worked / "file").write_text("")
    result = type_in(worked, "mriseg evaluate --csv file/a.csv")
    assert result.exit_code == 5 and "error: file cannot be written" in result.stderr
