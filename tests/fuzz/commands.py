"""Bad inputs through the command line: exit codes, and messages instead of tracebacks."""

from __future__ import annotations

from random import Random

from typer.testing import CliRunner, Result

from mriseg.cli.app import app
from mriseg.errors import MrisegError
from tests.fuzz.box import Box
from tests.fuzz.seeds import Seeds

_CPU = ("--backend", "cpu", "--precision", "fp32")
_SHORT = ("--epochs", "1", "--batch-size", "4", *_CPU)
_TRAINING = ("--width", "8", *_SHORT)
CODES = frozenset({0, *range(2, 10)})


class WrongEndError(Exception):
    """A command ended as none should."""


def words(rng: Random, name: str, seeds: Seeds, box: Box) -> list[str]:
    """A command that reads what the target of that name put into ``box``."""
    given, out, run = str(box.given), box.out, str(box.out / "run")
    predict = ["--model", str(seeds.run), "--allow-missing", *_CPU]
    choices: dict[str, list[list[str]]] = {
        "nifti": [
            ["predict", given, str(out / "masks"), *predict],
            ["preprocess", given, str(out / "new.zarr"), "--workers", "1"],
        ],
        "folder": [
            ["preprocess", given, str(out / "new.zarr"), "--workers", "1"],
            ["preprocess", given, str(out / "new.zarr"), "--workers", "1", "--strict"],
            ["predict", given, str(out / "masks"), *predict],
            ["evaluate", "--masks", given, "--truths", given, "--out", str(out / "measured")],
            ["inspect", given, "--workers", "1", "--csv", str(out / "cases.csv")],
        ],
        "store": [
            ["info", given],
            ["verify", given],
            ["evaluate", given, "--model", str(seeds.run), "--include-seen", *_CPU],
            ["predict", given, str(out / "masks"), *predict],
            ["train", given, "--out", str(out / "trained"), *_TRAINING],
        ],
        "run": [
            ["info", run],
            ["verify", run],
            ["share", str(out / "shared"), "--model", run],
            ["export", "torchscript", "--model", run],
            ["predict", str(seeds.store), str(out / "masks"), "--model", run, *_CPU],
            ["train", "--resume", "--run", run, str(seeds.store), *_CPU],
            ["transfer", str(seeds.store), "--from", run, "--out", str(out / "new"), *_SHORT],
        ],
        "settings": [
            ["train", str(seeds.store), "--config", f"{given}/settings.toml", *_CPU]
            + ["--epochs", "1", "--width", "8", "--out", str(out / "trained")]
        ],
        "evaluation": [
            ["share", str(out / "shared"), "--model", str(seeds.run)]
            + ["--evaluation", f"FLAIR={given}/evaluation.json"]
        ],
        "exported": [["verify", str(path)] for path in box.given.iterdir()],
    }
    choices["tiff"] = choices["dicom"] = choices["folder"]
    choices["containers"] = choices["nifti"]
    channels = ["--channels", "T1,T1CE,T2,FLAIR"]
    choices["h5"] = [
        ["preprocess", given, str(out / "new.zarr"), "--workers", "1", *channels],
        ["preprocess", given, str(out / "new.zarr"), "--workers", "1"],
        ["predict", given, str(out / "masks"), *predict, *channels],
    ]
    table = f"{given}/cases.csv"
    choices["table"] = [
        ["inspect", table, "--workers", "1"],
        ["preprocess", table, str(out / "new.zarr"), "--workers", "1"],
        ["predict", table, str(out / "masks"), *predict],
        ["evaluate", "--masks", given, "--truths", table],
    ]
    if name == "weights":
        (path,) = box.given.iterdir()
        return ["train", str(seeds.store), "--encoder-weights", str(path), *_TRAINING]
    return rng.choice(choices[name])


def type_in(rng: Random, name: str, seeds: Seeds, box: Box) -> None:
    """Run such a command.

    Raises:
        WrongEndError: it ended in a traceback, without a message, or with a code of no meaning.
        MrisegError: it reported an error, as it should.
    """
    line = words(rng, name, seeds, box)
    result = CliRunner().invoke(app, line)
    _check(line, result)
    if result.exit_code:
        raise MrisegError(result.stderr.strip()[-2000:])


def _check(line: list[str], result: Result) -> None:
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        raise WrongEndError(f"{line[0]}: {type(error).__name__}: {error}") from error
    if result.exit_code not in CODES or "Traceback (most recent" in result.output:
        raise WrongEndError(f"{line[0]}: exit code {result.exit_code}: {result.output[-500:]}")
    if result.exit_code and "error: " not in result.stderr.lower():
        raise WrongEndError(f"{line[0]}: exit code {result.exit_code} without a message")
