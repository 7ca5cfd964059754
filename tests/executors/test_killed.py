"""Workers are killed in the middle of the work, and the scheduler: results are one machine's."""

from __future__ import annotations

import csv
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mriseg import api
from mriseg.testing import phantoms
from tests.executors.cluster import Cluster, cluster
from tests.reliability.kill import EXACT, Going, files, leftovers, settings, typed

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

KILLS = 20
# Of one command, so that no item meets more than Dask lets it.
MOST = 3
LINES = {
    "preprocess": "preprocess brats OUT.zarr",
    "predict": f"predict small OUT --model run {EXACT} --probabilities",
    "compare": "transfer small.zarr --from run --compare --methods full --sizes 2 --folds 2 "
    f"--config settings.toml {EXACT} --out OUT",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans, a store and a run, and what one machine makes of them."""
    folder = tmp_path_factory.mktemp("killed")
    phantoms.write_brats(folder / "brats", 10, shape=(40, 110, 100))
    phantoms.write_brats(folder / "small", 6, shape=(24, 80, 72))
    typed(folder, "preprocess brats whole.zarr --workers 1")
    typed(folder, "preprocess small small.zarr --workers 1")
    settings(folder, epochs=2, slices=80)
    # The patients of the comparison are new to the run.
    phantoms.write_brats(folder / "others", 3, shape=(24, 80, 72), seed=9)
    for path in (folder / "others").iterdir():
        path.rename(path.with_name(path.name.replace("Training_00", "Training_10")))
    typed(folder, "preprocess others others.zarr --workers 1 --layout brats")
    typed(folder, f"train others.zarr --config settings.toml {EXACT} --out run")
    for name, line in LINES.items():
        if name != "preprocess":
            typed(folder, line.replace("OUT", f"whole-{name}"))
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Cluster]:
    with cluster(folder / "logs") as both:
        yield both


@pytest.mark.parametrize("name", LINES)
def test_workers_are_killed_and_the_results_are_one_machines(
    folder: Path, running: Cluster, name: str
) -> None:
    chance = random.Random(name)
    kills = turns = 0
    while kills < KILLS:
        turns += 1
        out = f"{name}-{turns}"
        going = Going(
            folder, f"{LINES[name].replace('OUT', out)} --executor dask:{running.address}"
        )
        going.until("workers of the Dask scheduler")
        met = 0
        while met < MOST and going.process.poll() is None:
            time.sleep(chance.uniform(0, 1.5))
            if going.process.poll() is None and running.kill(chance.randrange(2)):
                met += 1
        code = going.wait()
        assert code == 0, going.stderr
        assert "Traceback" not in going.stderr and "distributed" not in going.stderr, going.stderr
        check_same(folder, name, out)
        kills += met
        print(f"{name}: {kills} kills in {turns} turns", flush=True)


@pytest.mark.parametrize("name", LINES)
def test_the_scheduler_is_killed_and_the_same_command_goes_on(
    folder: Path, running: Cluster, name: str
) -> None:
    chance = random.Random(name)
    line = f"{LINES[name].replace('OUT', f'{name}-gone')} --executor dask:{running.address}"
    going = Going(folder, line)
    going.until("workers of the Dask scheduler")
    time.sleep(chance.uniform(0.5, 2.0))
    running.kill_scheduler()
    assert going.wait() == 10, going.stderr
    last = going.stderr.splitlines()[-1]
    assert "went away" in last and "start the same command again" in last
    assert "Traceback" not in going.stderr and "distributed" not in going.stderr
    # Dask's workers end with it.
    running.stop()
    running.workers.clear()
    running.start_scheduler()
    for host in ("127.0.0.1", "127.0.0.2"):
        running.start_worker(host)
    typed(folder, line)
    check_same(folder, name, f"{name}-gone")


def test_a_stopped_comparison_leaves_no_worker_at_its_training(
    folder: Path, running: Cluster
) -> None:
    line = LINES["compare"].replace("OUT", "stopped").replace("settings.toml", "long.toml")
    text = (folder / "settings.toml").read_text()
    (folder / "long.toml").write_text(text.replace("epochs = 2", "epochs = 2000"))
    going = Going(folder, f"{line} --executor dask:{running.address}")
    out = folder / "stopped"
    while not list(out.rglob("last.safetensors")):
        assert going.process.poll() is None, going.stderr
        time.sleep(0.1)
    assert going.stop(signal.SIGINT) and going.process.returncode == 130
    time.sleep(8.0)
    before = files(out)
    time.sleep(4.0)
    assert files(out) == before and not leftovers(out)


def check_same(folder: Path, name: str, out: str) -> None:
    """Bit for bit, but for times and the name."""
    if name == "compare":
        assert scores(folder / out) == scores(folder / "whole-compare")
        assert not leftovers(folder / out)
        return
    place, whole = (
        (folder / f"{out}.zarr", folder / "whole.zarr")
        if name == "preprocess"
        else (folder / out, folder / f"whole-{name}")
    )
    actual, expected = files(place), files(whole)
    # Pages and the record name times and folders.
    actual, expected = (
        {k: v for k, v in each.items() if not k.endswith(".html") and k != "report.json"}
        for each in (actual, expected)
    )
    assert actual == expected and expected
    assert not leftovers(place)
    if name == "preprocess":
        assert not api.verify(place).faults


def scores(folder: Path) -> list[dict[str, str]]:
    with (folder / "compare.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
