"""The scripts of docs/clusters/ do what docs/clusters.md says, on a real SLURM of two nodes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mriseg import api
from mriseg.io.runs import open_run
from mriseg.io.sample import sample_dir
from mriseg.io.store import open_store
from tests import slurm
from tests.reliability.kill import EXACT, check_same_run, settings

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "clusters"
SCRIPTS = sorted(FOLDER.glob("*.sbatch"))
PAGE = ROOT / "docs" / "clusters.md"

_WHY_NOT = slurm.why_not()
on_slurm = pytest.mark.skipif(bool(_WHY_NOT), reason=f"no SLURM: {_WHY_NOT}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[slurm.Cluster]:
    with slurm.ready() as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("clusters") / "out.zarr"
    api.preprocess(sample_dir(), where, workers=1)
    return where


def log_of(job: str, folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob(f"*-{job}*.log")))


def at_once(cluster: slurm.Cluster, job: str) -> None:
    """Spare a job that was requeued the two minutes that SLURM makes it wait."""

    def waits() -> bool:
        facts = cluster.facts(job)
        return facts["Restarts"] != "0" and facts["JobState"] == "PENDING"

    slurm.until(waits, 60, "the job to be requeued")
    # What was killed within the same second as it begins again, a node takes for the old job.
    time.sleep(3)
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")


def test_every_script_is_shown_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert SCRIPTS
    for script in (*SCRIPTS, FOLDER.parent / "containers" / "mriseg.def"):
        assert f"({script.parent.name}/{script.name})" in text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_no_mistake_that_shellcheck_knows(script: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_how_it_is_submitted(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    usage = [line for line in lines if line.startswith("#   sbatch ")]
    assert usage and all(script.name in line for line in usage)
    # Only comments may stand before the last line that SLURM reads.
    read = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert all(line.startswith("#") for line in lines[: read[-1]])


@on_slurm
@pytest.mark.slow
def test_a_training_that_is_preempted_ends_as_if_it_had_not_been(
    cluster: slurm.Cluster, store: Path, tmp_path: Path
) -> None:
    file = settings(tmp_path, epochs=4, slices=64)
    run = tmp_path / "run"
    job = cluster.submit(
        *("--cpus-per-task=4", "--mem=0", "--nodelist=n1", FOLDER / "train.sbatch", store, run),
        *("--config", file, *EXACT.split()),
        cwd=tmp_path,
    )
    slurm.until((run / "last.safetensors").exists, 60, "a checkpoint")
    urgent = cluster.submit(
        *("--partition=urgent", "--nodelist=n1", "--cpus-per-task=4", "--mem=0"),
        *("--wrap", "sleep 1"),
        cwd=tmp_path,
    )
    assert cluster.wait(urgent).state == "COMPLETED"
    at_once(cluster, job)
    ended = cluster.wait(job)
    assert ended.state == "COMPLETED" and ended.restarts == 1, log_of(job, tmp_path)
    assert f"resuming {run}" in log_of(job, tmp_path)
    exact = api.select("cpu", precision="fp32", deterministic=True)
    given = tomllib.loads(file.read_text())
    check_same_run(run, api.train(store, backend=exact, out=tmp_path / "whole", **given).run)


@on_slurm
@pytest.mark.slow
def test_a_training_whose_time_is_over_begins_again_by_itself(
    cluster: slurm.Cluster, store: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    file = settings(tmp_path, epochs=100, slices=400)
    # Asked to stop 55 seconds before the minute is over, or sooner.
    job = cluster.submit(
        *("--time=1", "--signal=TERM@50", "--cpus-per-task=1", "--mem=0", FOLDER / "train.sbatch"),
        *(store, run, "--config", file, *EXACT.split()),
        cwd=tmp_path,
    )
    slurm.until(lambda: "stopped:" in log_of(job, tmp_path), 90, "a stop")
    at_once(cluster, job)
    slurm.until(lambda: f"resuming {run}" in log_of(job, tmp_path), 180, "it to go on")
    cluster.run("scancel", job)
    assert not open_run(run).ended
    assert "the latest checkpoint is kept" in log_of(job, tmp_path)


@on_slurm
@pytest.mark.slow
def test_an_array_makes_the_masks_that_one_process_makes(
    cluster: slurm.Cluster, tmp_path: Path
) -> None:
    scans = sample_dir()
    options = ("--model", "base", "--backend", "cpu", "--precision", "fp32", "--no-flips")
    job = cluster.submit(
        *("--array=5-7", "--cpus-per-task=1", "--mem=0", FOLDER / "predict.sbatch", scans),
        *(tmp_path / "masks", *options),
        cwd=tmp_path,
    )
    slurm.until(lambda: not cluster.run("squeue", "--noheader", f"--job={job}"), 240, "the array")
    assert cluster.wait(job).state == "COMPLETED", log_of(job, tmp_path)
    backend = api.select("cpu", precision="fp32")
    whole = api.predict(
        scans, tmp_path / "whole", "base", api.PredictOptions(flips=False), backend=backend
    )
    masks = {path.name: path.read_bytes() for path in (tmp_path / "masks").glob("*.nii.gz")}
    assert len(masks) == len(whole.results) == 3
    assert masks == {one.mask.name: one.mask.read_bytes() for one in whole.results}
    page = (tmp_path / "masks" / "report.html").read_text()
    assert all(one.case in page for one in whole.results)
    assert len(re.findall(r"part [123]/3: 1 of 3 cases", log_of(job, tmp_path))) == 3


@on_slurm
@pytest.mark.slow
def test_a_dask_of_two_nodes_writes_the_store_that_one_process_writes(
    cluster: slurm.Cluster, store: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    out = tmp_path / "dask.zarr"
    job = cluster.submit(
        *("--nodes=2", "--ntasks=2", "--cpus-per-task=1", "--mem-per-cpu=0"),
        *(FOLDER / "dask.sbatch", "preprocess", sample_dir(), out),
        cwd=tmp_path,
    )
    assert cluster.wait(job).state == "COMPLETED", log_of(job, tmp_path)
    ours, theirs = open_store(out), open_store(store)
    assert {n: c.files for n, c in ours.cases().items()} == {
        n: c.files for n, c in theirs.cases().items()
    }
    assert not list(tmp_path.glob("dask-*.json"))


@on_slurm
@pytest.mark.slow
def test_two_nodes_train_one_network(cluster: slurm.Cluster, store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    file = settings(tmp_path, epochs=1, slices=16)
    job = cluster.submit(
        *("--cpus-per-task=1", "--mem=0", FOLDER / "torchrun.sbatch", store, run),
        *("--config", file, *EXACT.split()),
        cwd=tmp_path,
    )
    assert cluster.wait(job).state == "COMPLETED", log_of(job, tmp_path)
    assert open_run(run).ended
