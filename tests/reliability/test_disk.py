"""A full disk, or a folder that disappears midway: reported, nothing damaged, resumable."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from mriseg import api
from mriseg.errors import MrisegError, OutputError, StoreError
from mriseg.events import Advanced, Event, Measured
from mriseg.io.runs import open_run
from mriseg.io.sample import sample_dir
from mriseg.io.store import open_store
from mriseg.testing import phantoms
from tests.reliability.kill import check_same_run, files, leftovers, settings

# Runs in a name space of its own, so that the small disk is nobody else's.
FULL = """
import json, os, sys
from pathlib import Path
from typer.testing import CliRunner
from mriseg.cli.app import app

disk, lines = Path(sys.argv[1]), json.loads(sys.argv[2])
ballast = disk / "ballast"
found = []
for name, line in lines.items():
    # Of room for so many KB, from none to what may be enough.
    for room in json.loads(sys.argv[3]):
        while True:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            if free <= room * 1024:
                break
            with ballast.open("ab") as file:
                file.write(b"x" * min(free - room * 1024, 2**20))
        full = CliRunner().invoke(app, line.split())
        if full.exit_code == 0:
            break
        found.append([name, room, full.exit_code, full.stderr])
        ballast.unlink()
    ballast.unlink(missing_ok=True)
    resumed = "train --resume --run " + line.split()[-1] if name == "train" else line
    run = Path(line.split()[-1])
    if name == "train" and not (run / "last.safetensors").exists():
        resumed = line
    after = CliRunner().invoke(app, resumed.split())
    if not (full.exit_code == 0 and name == "train"):
        found.append([name, "enough", after.exit_code, after.stderr])
print(json.dumps(found))
"""


def namespace(disk: Path, size: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A command that sees a disk of so many bytes at ``disk``, and copies it away at its end."""
    script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && "$@"'
    return subprocess.run(
        ["unshare", "-rm", "sh", "-ec", script, "sh", size, str(disk), *command],
        capture_output=True,
        text=True,
        timeout=1200,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("only Linux gives a process a disk of its own")
    tried = namespace(disk, "1m", "true")
    if tried.returncode:
        pytest.skip(f"this system gives no name space of its own: {tried.stderr.strip()}")
    return disk


@pytest.mark.parametrize(
    "rooms",
    [[60], [0, 4, 8, 16, 24, 40, 64, 100, 150, 200, 300, 600]],
    ids=["one", "many"],
)
@pytest.mark.slow
def test_a_full_disk_is_reported_and_the_work_resumes_when_there_is_room(
    small_disk: Path, tmp_path: Path, rooms: list[int]
) -> None:
    source = tmp_path / "src"
    phantoms.write_brats(source, 2)
    file = settings(tmp_path, epochs=2, slices=12)
    api.preprocess(source, tmp_path / "whole.zarr", workers=1)
    lines = {
        "preprocess": f"preprocess {source} {small_disk}/out.zarr --workers 1",
        "train": f"train {tmp_path}/whole.zarr --config {file} --backend cpu --precision fp32 "
        f"--deterministic --out {small_disk}/run",
        "predict": f"predict {source} {small_disk}/masks --model base --backend cpu "
        "--precision fp32 --no-flips --no-refine --probabilities",
        "export": f"export torchscript --model base --out {small_disk}/model.pt",
    }
    copy = f"cp -a {small_disk}/. {tmp_path}/after"
    done = namespace(
        small_disk,
        "24m",
        "sh",
        "-ec",
        f'"$0" -c "$1" "$2" "$3" "$4"; {copy}',
        sys.executable,
        FULL,
        str(small_disk),
        json.dumps(lines),
        json.dumps(rooms),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    results = json.loads(done.stdout)
    for name, room, code, stderr in results:
        last = stderr.splitlines()[-1]
        if room == "enough":
            assert code == 0, (name, stderr)
        else:
            assert code == OutputError.exit_code, (name, room, stderr)
            assert last.startswith("error: ") and "No space left on device" in last, (name, stderr)
    assert {name for name, room, *_ in results if room == rooms[0]} == set(lines)

    after = tmp_path / "after"
    assert not leftovers(after)
    store, whole = files(after / "out.zarr"), files(tmp_path / "whole.zarr")
    for report in (store, whole):
        report.pop("report.json")
        report.pop("report.html")
    assert store == whole
    run = api.train(
        tmp_path / "whole.zarr",
        backend=api.select("cpu", precision="fp32", deterministic=True),
        out=tmp_path / "run",
        **tomllib.loads(file.read_text()),
    ).run
    check_same_run(after / "run", run)


# A folder that disappears, as one on a network may


def away(folder: Path, at: Callable[[Event], bool]) -> Callable[[Event], None]:
    """Rename ``folder`` at the first event that is it."""
    gone = folder.with_name("away")

    def on_event(event: Event) -> None:
        if at(event) and not gone.exists():
            folder.rename(gone)

    return on_event


def advanced(event: Event) -> bool:
    return isinstance(event, Advanced) and event.done >= 1


def validated(event: Event) -> bool:
    return isinstance(event, Measured)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    phantoms.write_brats(tmp_path / "src", 4)
    return tmp_path / "src"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_that_disappears_is_reported(source: Path, tmp_path: Path, workers: int) -> None:
    out = tmp_path / "out.zarr"
    with pytest.raises(OutputError, match=r"out\.zarr.* cannot be written"):
        api.preprocess(source, out, workers=workers, on_event=away(out, advanced))
    assert not out.exists()
    # It comes back, and the work goes on.
    (tmp_path / "away").rename(out)
    assert not api.preprocess(source, out, workers=1).skipped
    assert len(open_store(out).cases()) == 4 and not leftovers(out)


@pytest.mark.parametrize(
    ("what", "at"),
    [
        ("store", advanced),
        ("run", validated),
        pytest.param("store", validated, marks=pytest.mark.slow),
        pytest.param("run", advanced, marks=pytest.mark.slow),
    ],
)
def test_a_training_whose_files_disappear(
    source: Path, tmp_path: Path, what: str, at: Callable[[Event], bool]
) -> None:
    store, run = tmp_path / "out.zarr", tmp_path / "run"
    api.preprocess(source, store, workers=1)
    given = tomllib.loads(settings(tmp_path, epochs=2, slices=16).read_text())
    folder = store if what == "store" else run
    with pytest.raises(MrisegError) as caught:
        api.train(store, backend="cpu", out=run, on_event=away(folder, at), **given)
    assert isinstance(caught.value, StoreError if what == "store" else OutputError)
    assert folder.name in str(caught.value) and not folder.exists()
    (tmp_path / "away").rename(folder)
    api.resume(run, backend="cpu")
    whole = api.train(store, backend="cpu", out=tmp_path / "whole", **given).run
    check_same_run(run, whole)
    assert open_run(run).ended and not leftovers(run)


def test_a_folder_of_masks_that_disappears_is_reported(tmp_path: Path) -> None:
    out = tmp_path / "masks"
    with pytest.raises(OutputError, match=r"masks.* cannot be written|masks is gone"):
        quick = api.PredictOptions(flips=False, refine=False)
        at = away(out, advanced)
        api.predict(sample_dir(), out, "base", quick, backend="cpu", on_event=at)
    assert not out.exists()
    # What was being written moves along; it goes with the next masks that are written there.
    kept = sorted(path.name for path in (tmp_path / "away").glob("[!.]*"))
    assert kept == [
        "TCGA_HT_7686_19950629.nii.gz",
        "TCGA_HT_7686_19950629.png",
        "report.json",
    ]
