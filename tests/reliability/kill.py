"""Start mriseg as a user does, stop it at random moments, and look at what it leaves.

    python -m tests.reliability.kill --kills 30 --stops 90 --seed 1

kills trainings that many times and resumes each until it ends, and stops preprocess, train,
transfer, predict and export that many times by SIGKILL, SIGTERM and SIGINT in turn. It prints what
happened, and fails at the first difference from an undisturbed run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from mriseg.io.predictions import read_predictions, record_path
from mriseg.io.runs import Checkpoint, open_run
from mriseg.io.sample import sample_dir
from mriseg.io.store import open_store

START = "from mriseg.cli.app import main; main()"
COMPUTING = "--backend cpu --precision fp32"
EXACT = f"{COMPUTING} --deterministic"
SETTINGS = """
width = 8
size = [64, 64]
batch_size = 4
slices_per_epoch = {slices}
epochs = {epochs}
checkpoint_every = 1e-9
norm_batches = 8
{more}
"""
# Numbers of a log that are of the clock.
CLOCK = ("seconds", "images_per_second", "waiting_share")
LEFTOVER = re.compile(r"\.part-.*|\.tmp.*|.*\.partial|\.mriseg\.lock.*")


class Going:
    """mriseg in a process and a session of its own, typed in a folder."""

    def __init__(self, folder: Path, line: str) -> None:
        self.line = line
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, *line.split()],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,
            # A shell that runs this in the background has it ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    @property
    def stderr(self) -> str:
        """What it said on stderr so far."""
        # Not through the file that it writes: they share their position.
        return Path(f"/dev/fd/{self._stderr.fileno()}").read_text(encoding="utf-8")

    def until(self, said: str) -> None:
        """Wait until it says something."""
        while said not in self.stderr and self.process.poll() is None:
            time.sleep(0.01)

    def stop(self, number: int, after: float = 0.0) -> bool:
        """Send a signal after so much work; whether that met it at work.

        Args:
            number: of the signal. Ctrl-C goes to all of its processes, as from a terminal.
            after: seconds of the processor from now on, so that a busy machine changes nothing.
        """
        worked = self.worked
        while self.process.poll() is None and self.worked < worked + after:
            time.sleep(0.005)
        if self.process.poll() is not None:
            return False
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        self.wait()
        return True

    @property
    def worked(self) -> float:
        """Seconds of the processor that it took so far."""
        try:
            used = psutil.Process(self.process.pid).cpu_times()
            return float(used.user + used.system)
        except psutil.NoSuchProcess:
            return 0.0

    def wait(self) -> int:
        """Wait for its end, and for that of all that it started; its exit code."""
        code = self.process.wait(900)
        left = [psutil.Process(pid) for pid in psutil.pids() if _session(pid) == self.process.pid]
        _, alive = psutil.wait_procs(left, timeout=60)
        assert not alive, f"{self.line}: left behind {alive}"
        return code


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def typed(folder: Path, line: str) -> str:
    """Run to the end, which must be a good one; what it said."""
    going = Going(folder, line)
    code = going.wait()
    assert code == 0, f"{line}: {code}\n{going.stderr}"
    return going.stderr


def settings(folder: Path, *, epochs: int, slices: int = 40, more: str = "") -> Path:
    """A file of settings for a training of seconds that is saved every ten steps."""
    path = folder / "settings.toml"
    path.write_text(SETTINGS.format(epochs=epochs, slices=slices, more=more))
    return path


def checkpoints(run: Path) -> dict[str, dict[str, Any]]:
    """All that the checkpoints of a run hold but for the time they took."""
    opened = open_run(run)
    loaded = {which: opened.load(which) for which in ("last", "best") if opened.has(which)}
    return {which: _numbers(checkpoint) for which, checkpoint in loaded.items()}


def _numbers(checkpoint: Checkpoint) -> dict[str, Any]:
    state = json.loads(json.dumps(checkpoint.state, default=asdict))
    # What a clock measured, and by how many processes it was.
    for name in ("seconds", "paused", "ending", "processes"):
        state.get("position", {}).pop(name, None)
    return {
        "weights": checkpoint.weights,
        "optimiser": checkpoint.optimiser,
        "average": checkpoint.average,
        "state": state,
    }


def log(run: Path) -> list[dict[str, Any]]:
    """A run's log but for the times."""
    rows = open_run(run).read_log()
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in rows]


def check_same_run(run: Path, whole: Path) -> None:
    """Bit for bit, but for times."""
    assert log(run) == log(whole)
    actual, expected = checkpoints(run), checkpoints(whole)
    assert actual.keys() == expected.keys() == {"last", "best"}
    for which, parts in expected.items():
        assert actual[which]["state"] == parts["state"], which
        for part in ("weights", "optimiser", "average"):
            assert actual[which][part].keys() == parts[part].keys(), (which, part)
            for name, tensor in parts[part].items():
                assert torch.equal(actual[which][part][name], tensor), (which, part, name)


def files(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder, leftovers included."""
    return {
        path.relative_to(folder).as_posix(): _digest(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _digest(path: Path) -> str:
    if path.suffix == ".pt" and zipfile.is_zipfile(path):
        # PyTorch writes the same module in other bytes each time.
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return " ".join(sorted(record.partition("/")[2] for record in archive.namelist()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def leftovers(folder: Path) -> list[str]:
    """What lies about that nobody wants."""
    return [str(path) for path in folder.rglob("*") if LEFTOVER.fullmatch(path.name)]


@dataclass
class Trainings:
    """Trainings that are killed until they have ended."""

    folder: Path
    chance: random.Random
    kills: int = 0
    ended: int = 0
    steps: list[int] = field(default_factory=list)

    def kill_until_done(
        self, begin: str, run: Path, within: float, most: int, *, later: bool = False
    ) -> None:
        """Start, kill and resume a training, ``most`` times, and then let it end.

        Args:
            begin: the line that starts it.
            run: its folder.
            within: the most seconds of the processor before each kill.
            most: the number of kills.
            later: count them from the next checkpoint on, so that none of the kills comes to
                nothing.
        """
        resume = f"train --resume --run {run} {EXACT}"
        line = begin
        for _ in range(most):
            going = Going(self.folder, line)
            going.until("run " if line is begin else "resuming ")
            if later:
                before = self._step(run)
                while going.process.poll() is None and self._step(run) in (before, 0):
                    time.sleep(0.05)
            if not going.stop(signal.SIGKILL, self.chance.uniform(0, within)):
                assert going.wait() == 0, going.stderr
                break
            self.kills += 1
            if (run / "last.safetensors").exists():
                # It opens, whatever the moment.
                checkpoints(run)
                self.steps.append(self._step(run))
                line = resume
        if not open_run(run).has("last") or not open_run(run).ended:
            typed(self.folder, line)
        self.ended += 1

    @staticmethod
    def _step(run: Path) -> int:
        """Of the latest checkpoint; 0 where there is none."""
        opened = open_run(run) if (run / "last.safetensors").exists() else None
        return int(opened.load("last").state["position"]["step"]) if opened else 0


@dataclass
class Stops:
    """Commands that are stopped at random moments of all of their time, and then typed again."""

    folder: Path
    chance: random.Random
    met: Counter[str] = field(default_factory=Counter)

    def stop(self, name: str, line: str, lasts: float, number: signal.Signals) -> Going:
        """Type a line and stop it somewhere in the seconds of the processor that it takes."""
        going = Going(self.folder, line)
        if not going.stop(number, self.chance.uniform(0, lasts)):
            self.met[f"{name}: had ended"] += 1
            return going
        code, stderr = going.process.returncode, going.stderr
        self.met[f"{name}: {number.name} -> {code}"] += 1
        if number is signal.SIGKILL:
            assert code == -signal.SIGKILL
        elif code != 0:
            # Before mriseg begins, a signal is Python's to handle, and after its end again.
            assert code in (128 + number, -number), (line, code, stderr)
            if code > 0:
                assert "stopped: " in stderr, (line, code, stderr)
            if number is not signal.SIGINT or code > 0:
                assert "Traceback" not in stderr, (line, code, stderr)
        return going


def _trainings(folder: Path, kills: int, chance: random.Random) -> None:
    typed(folder, f"preprocess {sample_dir()} out.zarr --workers 1")
    file = settings(folder, epochs=5, slices=120)
    train = f"train out.zarr --config {file} {EXACT} --out"
    typed(folder, f"{train} whole-train")
    transfer = (
        f"transfer out.zarr --from whole-train --config {folder / 'transfer.toml'} {EXACT} "
        "--modalities FLAIR --schedule lp-ft --l2-sp 0.01 --layer-decay 0.8 --freeze none --out"
    )
    text = file.read_text().replace("width = 8\n", "")
    (folder / "transfer.toml").write_text(text)
    typed(folder, f"{transfer} whole-transfer")
    trainings = Trainings(folder, chance)
    while trainings.kills < kills:
        name = ("train", "transfer")[trainings.ended % 2]
        run = folder / f"{name}-{trainings.ended}"
        begin = f"{train if name == 'train' else transfer} {run}"
        # Now and then before there is a new checkpoint, so that the same steps are done again.
        later = chance.random() < 0.8
        trainings.kill_until_done(begin, run, within=1.0, most=10, later=later)
        check_same_run(run, folder / f"whole-{name}")
        shutil.rmtree(run)
        print(f"{trainings.kills} kills, {trainings.ended} trainings the same", flush=True)
    print("steps of the checkpoints found:", trainings.steps)


def _stops(folder: Path, count: int, chance: random.Random) -> None:
    source = sample_dir()
    file = settings(folder, epochs=2)
    lines = {
        "preprocess 1": f"preprocess {source} OUT --workers 1",
        "preprocess 2": f"preprocess {source} OUT --workers 2",
        "train": f"train base.zarr --config {file} {EXACT} --out OUT",
        "transfer": f"transfer base.zarr --from base --modalities FLAIR --epochs 1 --size 64x64 "
        f"{EXACT} --out OUT",
        "predict": f"predict {source} OUT --model base {COMPUTING} --probabilities",
        "export": "export torchscript --model base --out OUT/model.pt",
    }
    typed(folder, f"preprocess {source} base.zarr --workers 1")
    lasts: dict[str, float] = {}
    for name, line in lines.items():
        going = Going(folder, line.replace("OUT", _place(name, "whole")))
        while going.process.poll() is None:
            lasts[name] = max(lasts.get(name, 0), going.worked)
            time.sleep(0.01)
        assert going.wait() == 0, going.stderr
    stops = Stops(folder, chance)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    for turn in range(count):
        name = list(lines)[turn % len(lines)]
        place = _place(name, f"turn-{turn}")
        out, whole = folder / place, folder / _place(name, "whole")
        line = lines[name].replace("OUT", place)
        number = numbers[turn // len(lines) % len(numbers)]
        going = stops.stop(name, line, lasts[name], number)
        # One that was stopped after its end, at its last picture, is not begun again.
        finished = (out / "last.safetensors").exists() and bool(open_run(out).ended)
        if name in ("train", "transfer"):
            _check_run(folder, out, whole, line)
        else:
            if name.startswith("preprocess"):
                _check_store(out, whole)
            else:
                _check_outputs(out, whole)
            if going.process.returncode != 0:
                typed(folder, line)
            actual, expected = files(out), files(whole)
            for report in (actual, expected):
                report.pop("report.json", None)
                report.pop("report.html", None)
            assert actual == expected, (line, actual.keys() ^ expected.keys())
        assert finished or not leftovers(out), leftovers(out)
        shutil.rmtree(out)
        print(turn + 1, line, dict(sorted(stops.met.items())), flush=True)


def _place(name: str, what: str) -> str:
    return f"{name.replace(' ', '-')}-{what}" + ".zarr" * name.startswith("preprocess")


def _check_store(out: Path, whole: Path) -> None:
    """It opens, and each of its cases is that of an undisturbed run."""
    if (out / "zarr.json").exists():
        for name in open_store(out).cases():
            assert files(out / "cases" / name).items() >= files(whole / "cases" / name).items()


def _check_outputs(out: Path, whole: Path) -> None:
    """Every file that exists is complete, and every mask is the one that its record speaks of."""
    present = {k: v for k, v in files(out).items() if not k.startswith(".")}
    present.pop("report.json", None)
    present.pop("report.html", None)
    assert present.items() <= files(whole).items()
    recorded = read_predictions(record_path(out)).masks
    for name in present:
        if name.endswith(".nii.gz") and "_prob_" not in name:
            assert recorded[name].files[0].is_still(out / name), name


def _check_run(folder: Path, out: Path, whole: Path, line: str) -> None:
    """It resumes, or starts again, and ends as one that was never stopped."""
    if (out / "last.safetensors").exists():
        if not open_run(out).ended:
            typed(folder, f"train --resume --run {out} {EXACT}")
    else:
        typed(folder, line)
    check_same_run(out, whole)


def main() -> None:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--stops", type=int, default=90)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    for campaign, count in ((_trainings, asked.kills), (_stops, asked.stops)):
        if count:
            with tempfile.TemporaryDirectory() as folder:
                campaign(Path(folder), count, chance)


if __name__ == "__main__":
    main()
