"""Processes of this machine: the contract, and scripts that cannot be imported."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mriseg
from mriseg.errors import ConfigError
from mriseg.executors.processes import EXECUTOR, UnguardedError, default_workers
from mriseg.testing import ExecutorContract, phantoms


class TestProcesses(ExecutorContract):
    kind = EXECUTOR


def test_processes_have_no_address() -> None:
    with pytest.raises(ConfigError, match="no address.*--workers"), EXECUTOR.pool("host", 2):
        pass


def test_there_is_a_worker_per_core_up_to_eight() -> None:
    assert 1 <= default_workers() <= 8


UNGUARDED = """
import mriseg
report = mriseg.preprocess("scans", "out.zarr", workers=2, on_event=print)
print(len(report.cases), "cases")
"""


def run_script(
    folder: Path, text: str, *, as_file: bool = True
) -> subprocess.CompletedProcess[str]:
    phantoms.write_brats(folder / "scans", 3, shape=(8, 40, 36))
    (folder / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, "script.py" if as_file else "-"],
        input=None if as_file else text,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(mriseg.__file__).parents[1])},
        check=False,
    )


@pytest.mark.parametrize(
    "as_file", [pytest.param(each, marks=pytest.mark.slow) for each in (True, False)]
)
def test_a_script_without_a_guard_works_alone_and_says_so(tmp_path: Path, as_file: bool) -> None:
    ended = run_script(tmp_path, UNGUARDED, as_file=as_file)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "3 cases" and ended.stdout.count("3 cases") == 2
    assert ended.stderr == ""
    said = 'if __name__ == "__main__":' if as_file else "not in a file"
    assert said in ended.stdout and "memory" not in ended.stdout


@pytest.mark.slow
def test_a_script_that_does_more_before_does_it_once(tmp_path: Path) -> None:
    before = 'mriseg.preprocess("scans", "first.zarr", workers=1)\n'
    text = UNGUARDED.replace("report =", before + "report =")
    ended = run_script(tmp_path, text)
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr


def test_a_process_that_cannot_start_is_not_said_to_lack_memory(tmp_path: Path) -> None:
    text = UNGUARDED.replace("import mriseg", "import mriseg\nassert __name__ == '__main__', 'no'")
    ended = run_script(tmp_path, text)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert "could not start" in last and "__main__" in last and "memory" not in last


def test_a_daemonic_process_is_told_that_it_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(multiprocessing.current_process())["_config"], "daemon", True)
    with pytest.raises(UnguardedError, match="daemonic"), EXECUTOR.pool("", 2):
        pass
