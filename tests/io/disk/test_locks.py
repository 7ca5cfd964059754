"""A folder has one writer at a time: the second gets an error, and nothing is damaged."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mriseg.errors import BusyError, OutputError
from mriseg.io.disk import locks
from mriseg.io.disk.locks import HOLDER, LOCK, hold, locked, waiting

HOLDING = """
import sys
from pathlib import Path
from mriseg.io.disk.locks import locked
with locked(Path(sys.argv[1]), "train"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(folder: Path) -> subprocess.Popen[str]:
    """Another process that keeps ``folder`` until it reads a line or is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_error_names_the_process_that_holds_the_lock(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    other = holding(folder)
    with pytest.raises(BusyError) as error, locked(folder, "train"):
        pass
    assert isinstance(error.value, OutputError)
    who = rf"\(train, process {other.pid} on {re.escape(platform.node())}, since 20"
    assert re.search(rf"run is in use by another process {who}", str(error.value))
    other.communicate("")
    with locked(folder, "train"):
        assert sorted(path.name for path in folder.iterdir()) == [LOCK, HOLDER]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_the_process_that_is_killed(tmp_path: Path) -> None:
    other = holding(tmp_path)
    other.kill()
    other.communicate()
    assert (tmp_path / HOLDER).exists()
    with locked(tmp_path, "train"):
        assert str(os.getpid()) in (tmp_path / HOLDER).read_text()
    assert list(tmp_path.iterdir()) == []


def test_one_process_does_not_lock_twice(tmp_path: Path) -> None:
    with locked(tmp_path, "train"):
        with pytest.raises(BusyError), locked(tmp_path, "train"):
            pass
        # Another folder can be locked, even one inside the first.
        with locked(tmp_path / "runs" / "one", "train"):
            pass
        assert (tmp_path / LOCK).exists()


def test_a_damaged_holder_file_does_no_harm(tmp_path: Path) -> None:
    for text in ("", "[]", "{", '{"doing": "train"}'):
        with locked(tmp_path, "train"):
            (tmp_path / HOLDER).write_text(text)
            with pytest.raises(BusyError, match="in use by another process;"):
                locked(tmp_path, "train").__enter__()


def test_without_support_for_locks_the_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path / "file", tmp_path / "file" / "within"):
        with locked(path, "train"):
            pass
    assert (tmp_path / "file").read_text() == "kept"


def test_what_is_in_the_folder_stays(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "new", "train"):
        (tmp_path / "new" / "x").write_text("")
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x"]


def test_a_moments_work_waits_for_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "lock", []

    def work(number: int) -> None:
        with waiting(path):
            order.append(number)
            time.sleep(0.01)
            order.append(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert order[::2] == order[1::2] and sorted(order[::2]) == list(range(8))
    assert not path.exists()
    other = hold(path)
    assert other is not None
    monkeypatch.setattr(locks, "_PATIENCE", 0.01)
    with pytest.raises(BusyError, match="is held by another process"), waiting(path):
        pass
    other.release()


def test_without_a_file_system_that_locks_a_moments_work_is_done_all_the_same(
    tmp_path: Path,
) -> None:
    with waiting(tmp_path / "nowhere" / "lock"):
        pass
