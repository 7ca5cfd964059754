"""Stopped at any moment and started again, mriseg ends as if it had never been stopped.

A small sample of what ``python -m tests.reliability.kill`` tries by the dozen.
"""

from __future__ import annotations

import random
import signal
import sys
import tomllib
from pathlib import Path

import pytest

from mriseg import api
from mriseg.errors import BusyError
from mriseg.events import Event, Notice
from mriseg.io.sample import sample_dir
from mriseg.io.store import open_store
from mriseg.testing import phantoms
from tests.reliability.kill import (
    EXACT,
    Going,
    Trainings,
    check_same_run,
    files,
    leftovers,
    settings,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals")


@pytest.mark.slow
def test_a_training_killed_at_random_steps_ends_bit_for_bit_the_same(tmp_path: Path) -> None:
    api.preprocess(sample_dir(), tmp_path / "out.zarr", workers=1)
    file = settings(tmp_path, epochs=2, slices=48)
    run = tmp_path / "run"
    trainings = Trainings(tmp_path, random.Random(4))
    begin = f"train out.zarr --config {file} {EXACT} --out {run}"
    trainings.kill_until_done(begin, run, within=0.3, most=2, later=True)
    # In the middle, where more than the weights decides what comes.
    assert trainings.kills == 2 and all(0 < step < 24 for step in trainings.steps)
    exact = api.select("cpu", precision="fp32", deterministic=True)
    given = tomllib.loads(file.read_text())
    whole = api.train(tmp_path / "out.zarr", backend=exact, out=tmp_path / "whole", **given).run
    check_same_run(run, whole)
    assert not leftovers(run)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_preprocessing_stops_with_all_of_its_processes(
    tmp_path: Path, number: signal.Signals
) -> None:
    source, out = tmp_path / "src", tmp_path / "out.zarr"
    # So many that some are left when the first is seen.
    phantoms.write_brats(source, cases := 12, shape=(32, 80, 72))
    going = Going(tmp_path, f"preprocess {source} {out} --workers 2")
    while going.process.poll() is None and not list(out.glob("cases/*/image")):
        pass
    with pytest.raises(BusyError, match=rf"preprocess, process {going.process.pid} on"):
        api.preprocess(source, out, workers=1)
    assert going.stop(number)
    assert going.process.returncode == 128 + number
    assert going.stderr.splitlines()[-1] == (
        "stopped: finished cases are complete; the same command continues with the others"
    )
    assert "Traceback" not in going.stderr
    # Without a finished case there is no store.
    assert not out.exists() or len(open_store(out).cases()) < cases
    api.preprocess(source, out, workers=1)
    api.preprocess(source, tmp_path / "whole.zarr", workers=1)
    actual, expected = files(out), files(tmp_path / "whole.zarr")
    for report in (actual, expected):
        report.pop("report.json")
        report.pop("report.html")
    assert actual == expected and not leftovers(out)


def test_a_run_in_training_is_not_trained_twice(tmp_path: Path) -> None:
    api.preprocess(sample_dir(), tmp_path / "out.zarr", workers=1)
    file = settings(tmp_path, epochs=200)
    run = tmp_path / "run"
    going = Going(tmp_path, f"train out.zarr --config {file} {EXACT} --out {run}")
    while going.process.poll() is None and not (run / "last.safetensors").exists():
        pass
    for again in (
        lambda: api.resume(run, backend="cpu"),
        lambda: api.train(tmp_path / "out.zarr", width=8, epochs=1, backend="cpu", out=run),
    ):
        with pytest.raises(BusyError, match=rf"train, process {going.process.pid} on"):
            again()
    assert going.stop(signal.SIGTERM)
    assert going.process.returncode == 143
    assert "the latest checkpoint is kept" in going.stderr and "Traceback" not in going.stderr
    assert not leftovers(run)


def test_a_run_that_was_killed_at_once_starts_again(tmp_path: Path) -> None:
    api.preprocess(sample_dir(), tmp_path / "out.zarr", workers=1)
    given = tomllib.loads(settings(tmp_path, epochs=1, slices=8).read_text())
    run = tmp_path / "run"

    def stop(event: Event) -> None:
        if isinstance(event, Notice) and event.text.startswith("run "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.train(tmp_path / "out.zarr", backend="cpu", out=run, on_event=stop, **given)
    assert [path.name for path in run.iterdir()] == ["run.json"]
    api.train(tmp_path / "out.zarr", backend="cpu", out=run, **given)
    assert (run / "best.safetensors").exists()
