"""Runs in a folder: new names do not clash, and the newest is the newest of its kind."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io.runs import (
    Run,
    create_run,
    fresh_path,
    newest_run,
    newest_unfinished_run,
    open_run,
)
from tests.io.runs.examples import MANIFEST, a_checkpoint


def test_paths_of_new_runs_do_not_clash(tmp_path: Path) -> None:
    now = datetime(2026, 3, 4, 5, 6, 7)
    first = fresh_path(tmp_path, "out", now)
    assert first == tmp_path / "20260304-050607-out"
    assert first.is_dir()
    assert fresh_path(tmp_path, "out", now) == tmp_path / "20260304-050607-out-2"


def aged(tmp_path: Path, name: str, age: int) -> Run:
    run = create_run(tmp_path / name, MANIFEST)
    os.utime(run.path / "run.json", (1e9 - age, 1e9 - age))
    return run


def test_the_newest_run_is_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mriseg train STORE"):
        newest_run(tmp_path)
    old, new, bare = (aged(tmp_path, n, a) for n, a in (("z", 9), ("m", 5), ("a", 1)))
    old.save("last", a_checkpoint(ended=""))
    assert newest_run(tmp_path) == old.path
    new.save("best", a_checkpoint())
    assert newest_run(tmp_path) == new.path
    assert newest_unfinished_run(tmp_path) == old.path
    new.save("last", a_checkpoint(ended="all 3 epochs are done"))
    assert newest_unfinished_run(tmp_path) == old.path
    old.save("last", a_checkpoint(ended="the budget is spent"))
    assert open_run(old.path).ended == "the budget is spent"
    with pytest.raises(InputError, match="stopped before its end"):
        newest_unfinished_run(tmp_path)
    assert bare.path != newest_run(tmp_path)
