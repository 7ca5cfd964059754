"""Commands as typed: what they choose if it is not given, write, report, and how they fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mriseg.backends import available, machine
from mriseg.cli.commands.common import (
    _saved_since,
    check_complete,
    check_json,
    naming_the_comparison,
    naming_the_run,
    select_backend,
)
from mriseg.errors import ConfigError, IncompleteError
from mriseg.events import Event, Notice
from tests.cli.conftest import Type


def test_a_backend_that_is_not_available(worked: Path, type_in: Type) -> None:
    absent = [entry.name for entry in available() if not entry.ok]
    if not absent:
        pytest.skip("this machine has every backend")
    name = "mps" if "mps" in absent else absent[0]
    result = type_in(worked, f"mriseg train --backend {name}")
    assert result.exit_code == 4
    assert f"no {name.upper()} device here" in result.stderr
    assert "available: cpu" in result.stderr
    assert len(list((worked / "runs").iterdir())) == 1
    unknown = type_in(worked, "mriseg train --backend tpu")
    assert unknown.exit_code == 2 and "known: cpu, cuda, mps" in unknown.stderr


def test_one_store_is_taken_and_several_are_listed(
    worked: Path, tmp_path: Path, type_in: Type
) -> None:
    shutil.copytree(worked / "out.zarr", worked / "second.zarr")
    for command in ("train", "transfer", "evaluate"):
        result = type_in(worked, f"mriseg {command}")
        assert result.exit_code == 3
        assert "out.zarr, second.zarr" in result.stderr
    (tmp_path / "empty").mkdir()
    none = type_in(tmp_path / "empty", "mriseg train")
    assert none.exit_code == 3 and "mriseg preprocess" in none.stderr
    for command in ("transfer", "predict a b", "export torchscript"):
        result = type_in(tmp_path / "empty", f"mriseg {command}")
        assert result.exit_code == 3 and "mriseg train" in result.stderr, command


def test_gpu_is_two_backends(worked: Path, type_in: Type) -> None:
    for line in ("train --backend gpu", "info --backend GPU"):
        result = type_in(worked, f"mriseg {line}")
        assert result.exit_code == 2
        assert "choose cuda (NVIDIA, AMD) or mps (Mac)" in result.stderr


def test_a_stop_names_the_run_that_it_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(out: Path | None) -> list[str]:
        with pytest.raises(KeyboardInterrupt) as caught, naming_the_run(out):
            raise KeyboardInterrupt
        return getattr(caught.value, "__notes__", [])

    monkeypatch.chdir(tmp_path)
    # Before the first checkpoint there is nothing to continue.
    assert stopped(None) == stopped(Path("mine")) == []
    Path("mine").mkdir()
    Path("mine/last.safetensors").write_bytes(b"")
    resume = "the latest checkpoint is kept; continue with: mriseg train --resume"
    assert stopped(Path("mine")) == [f"{resume} mine"]
    # As it can be typed.
    Path("mine").rename("my run")
    assert stopped(Path("my run")) == [f"{resume} 'my run'"]


def test_a_stop_says_how_a_comparison_continues() -> None:
    for out, said in ((Path("a b"), "and --out 'a b'"), (None, "the --out that is named above")):
        with pytest.raises(KeyboardInterrupt) as caught, naming_the_comparison(out):
            raise KeyboardInterrupt
        [note] = caught.value.__notes__
        assert note.startswith("finished trainings are kept") and note.endswith(said)


def test_the_backend_takes_a_short_line_unless_a_gpu_lies_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computing = {"backend": "cpu", "precision": "fp32"}
    events: list[Event] = []
    monkeypatch.setattr(machine, "graphics", lambda: "an NVIDIA GPU")
    select_backend(events.append, **computing)
    assert events == [Notice("backend cpu, float32 (why: mriseg info)")]
    if any(entry.ok for entry in available() if entry.name != "cpu"):
        pytest.skip("this machine has another backend than the processor")
    select_backend(events.append, **computing | {"backend": "auto"})
    assert isinstance(events[1], Notice)
    assert "although this machine seems to have an NVIDIA GPU: no CUDA (" in events[1].text
    monkeypatch.setattr(machine, "graphics", str)
    select_backend(events.append, **computing | {"backend": "auto"})
    assert events[2] == events[0]


def test_an_older_run_is_not_the_one_that_was_stopped(
    worked: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(worked)
    monkeypatch.setattr("mriseg.io.runs.newest_unfinished_run", lambda root: run)
    saved = (run / "last.safetensors").stat().st_mtime
    assert _saved_since(saved - 1) == run
    assert _saved_since(saved + 1) is None


def test_what_was_skipped_is_said_once_and_briefly() -> None:
    check_complete([], 3)
    with pytest.raises(IncompleteError, match=r"^1 of 3 cases was skipped: a \(torn\)$"):
        check_complete([("a", "torn")], 2)
    many = [(f"c{number}", "torn") for number in range(9)]
    with pytest.raises(IncompleteError, match=r"^9 of 9 cases were .*c4 \(torn\) and 4 more; the"):
        check_complete(many, 0, Path("x.zarr/report.json"))


@pytest.mark.parametrize("line", ["predict a b", "transfer", "export torchscript"])
def test_without_a_run_the_shipped_model_is_offered(worked: Path, type_in: Type, line: str) -> None:
    (worked / "runs").rename(worked / "elsewhere")
    result = type_in(worked, f"mriseg {line}")
    option = "--from" if line == "transfer" else "--model"
    said = " ".join(result.stderr.split())
    assert result.exit_code == 3 and f"use the model that ships with mriseg: {option} base" in said


def test_json_is_refused_before_the_work(tmp_path: Path) -> None:
    check_json(None)
    check_json("-")
    check_json(str(tmp_path / "new/x.json"))
    with pytest.raises(ConfigError, match="a report has to be local"):
        check_json("s3://bucket/x.json")
    assert list(tmp_path.iterdir()) == []
