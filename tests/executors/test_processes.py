"""Work is spread over any executor, a few items at a time, and a killed process is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mriseg
from mriseg.errors import MrisegError
from mriseg.recipes.workers import default_workers, results, spread
from mriseg.testing import phantoms


def doubled(number: int) -> int:
    return 2 * number


def ends_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return number


def test_alone_items_are_done_in_order() -> None:
    assert list(results(doubled, [3, 1, 2], 1)) == [6, 2, 4]
    assert list(results(doubled, [], 4)) == [] and list(results(doubled, [1], 4)) == [2]


def test_processes_do_all_of_them() -> None:
    assert sorted(results(doubled, range(7), 2)) == [0, 2, 4, 6, 8, 10, 12]


def test_any_executor_will_do_and_few_items_are_under_way() -> None:
    running, most, lock = 0, 0, threading.Lock()
    wait = threading.Event()

    def counted(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        wait.wait(0.01)
        with lock:
            running -= 1
        return number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(spread(counted, range(20), pool, 3)) == list(range(20))
    assert 1 < most <= 3


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_process_is_an_error_with_advice() -> None:
    with pytest.raises(MrisegError, match="was killed.*--workers 1"):
        list(results(ends_at_three, range(6), 2))


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


@pytest.mark.parametrize("as_file", [True, pytest.param(False, marks=pytest.mark.slow)])
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
