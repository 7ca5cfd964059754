"""What a worker lacks is said before the work, with its name: real workers that lack something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mriseg.core.choice import Choice
from mriseg.errors import WorkerError
from mriseg.io.disk.shared import SharedPath
from mriseg.recipes.worker_check import (
    Needs,
    WorkerFacts,
    check,
    check_itself,
    lazy_backend,
    look,
    versions_here,
)
from mriseg.testing import phantoms
from tests.executors.cluster import Cluster, namespaces
from tests.reliability.kill import START

FIT = WorkerFacts("host, process 1", (), {})


def test_here_nothing_is_lacking(tmp_path: Path) -> None:
    needs = Needs(versions_here(["numpy"]), (SharedPath.of(tmp_path),), backend=Choice("cpu"))
    facts = look(needs)
    assert not facts.problems and facts.backend["name"] == "cpu"
    assert lazy_backend(Choice("cpu", "fp32"))().name == "cpu"
    check_itself(needs)


@pytest.mark.parametrize(
    ("needs", "lacking"),
    [
        (Needs((("torch", "1.0"),)), r"has torch \d+\.\d+\.\d+, and 1\.0 is needed"),
        (Needs((("python", "3.2"),)), r"has python 3\.\d+, and 3\.2 is needed"),
        (Needs((("no-such-thing", "1"),)), r"has no-such-thing \(none\), and 1 is needed"),
        (Needs(paths=(SharedPath("/no/such", "x"),)), "does not see /no/such"),
        (Needs(stores=("memory://no-store",)), "cannot open memory://no-store"),
        (Needs(backend=Choice("cpu", "fp16")), "cannot compute as asked: .*fp16"),
    ],
)
def test_what_is_lacking_is_said(needs: Needs, lacking: str) -> None:
    with pytest.raises(WorkerError, match=lacking):
        check_itself(needs)


def test_all_that_are_unfit_are_in_one_message() -> None:
    unfit = replace(FIT, problems=("has torch 1, and 2 is needed",))
    lost = ModuleNotFoundError("No module named 'mriseg'", name="mriseg")
    answers: dict[str, WorkerFacts | Exception] = {"tcp://a:1": unfit, "tcp://b:1": FIT}
    answers |= {"tcp://c:1": lost, **{f"tcp://d:{n}": RuntimeError("no") for n in range(3)}}
    with pytest.raises(WorkerError) as raised:
        check(answers)
    text = str(raised.value)
    assert "worker tcp://a:1 has torch 1, and 2 is needed" in text and "tcp://b" not in text
    assert "worker tcp://c:1 has no mriseg" in text and "and 2 more like them" in text
    assert check({"b": FIT}) == {"b": FIT}


def another_torch(folder: Path) -> dict[str, str]:
    """The environment of an interpreter with the records of another PyTorch."""
    info = folder / "torch-2.5.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.5.1\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [PYTHONPATH])])}


def another_python(folder: Path) -> dict[str, str]:
    """The environment of an interpreter that says that it is of another version."""
    folder.mkdir(parents=True)
    text = "import platform\nplatform.python_version_tuple = lambda: ('3', '99', '1')\n"
    (folder / "usercustomize.py").write_text(text)
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [PYTHONPATH])])}


PYTHONPATH = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    (tmp_path / "logs").mkdir()
    running = Cluster(tmp_path / "logs")
    yield running
    running.stop()


def refused(folder: Path, line: str) -> str:
    """The last line that a command says, which it ends with the code of unfit workers."""
    typed = [sys.executable, "-c", START, *line.split()]
    done = subprocess.run(typed, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 10, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("error:") == 1, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "lacking"),
    [
        (another_torch, "has torch 2.5.1, and "),
        (another_python, "has python 3.99, and "),
    ],
)
def test_a_worker_of_another_software_is_named(
    tmp_path: Path, running: Cluster, other: Callable[[Path], dict[str, str]], lacking: str
) -> None:
    phantoms.write_brats(tmp_path / "brats", 3, shape=(8, 40, 36))
    running.start_worker()
    running.start_worker("127.0.0.2", env=other(tmp_path / "other"))
    line = f"preprocess brats out.zarr --executor dask:{running.address}"
    said = refused(tmp_path, line)
    assert "worker tcp://127.0.0.2:" in said and lacking in said and "127.0.0.1:" not in said
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["brats", "."])
def test_a_worker_that_sees_another_folder_is_named(
    tmp_path: Path, running: Cluster, hidden: str
) -> None:
    """As of a disk of its own: the folder is another one in the worker's mount namespace."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "true"], check=False).returncode:
        pytest.skip("this machine has no unshare, or does not allow it")
    phantoms.write_brats(tmp_path / "data" / "brats", 3, shape=(8, 40, 36))
    place = tmp_path / "data" / hidden
    copied = tmp_path / "own"
    phantoms.write_brats(copied / "brats", 3, shape=(8, 40, 36), seed=1)
    source = copied if hidden == "." else copied / "brats"
    mount = f'mount --bind {source} {place} && exec "$@"'
    running.start_worker()
    running.start_worker("127.0.0.2", within=(unshare, "-m", "sh", "-c", mount, "sh"))
    line = f"preprocess brats out.zarr --executor dask:{running.address}"
    said = refused(tmp_path / "data", line)
    assert "worker tcp://127.0.0.2:" in said and "sees something else at" in said
    assert "127.0.0.1:" not in said
    if hidden == ".":
        assert "does not see what is written into" in said
    assert not (tmp_path / "data" / "out.zarr").exists()


@pytest.mark.slow
def test_workers_in_network_namespaces_do_the_work(tmp_path: Path, running: Cluster) -> None:
    phantoms.write_brats(tmp_path / "brats", 4, shape=(8, 40, 36))
    try:
        joined = namespaces(2)
        sides = joined.__enter__()
    except OSError as error:
        pytest.skip(f"this machine allows no network namespaces: {error}")
    try:
        for name, its, ours in sides:
            scheduler = f"tcp://{ours}:{running.port}"
            running.start_worker(its, scheduler=scheduler, within=("ip", "netns", "exec", name))
        typed = [sys.executable, "-c", START, "preprocess", "brats", "out.zarr"]
        typed += ["--executor", f"dask:{running.address}"]
        done = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "2 workers of the Dask scheduler" in done.stderr
    finally:
        running.stop()
        joined.__exit__(None, None, None)
