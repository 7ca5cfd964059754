"""Commands as typed: what they choose if it is not given, write, report, and how they fail."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path

import pytest

from mriseg.io.runs import open_run
from mriseg.io.trackers import TRACKERS, Ended, TrackedTraining
from mriseg.testing import phantoms
from tests.cli.conftest import FAST, Type


def test_preprocess_shows_a_summary_and_resumes(worked: Path, type_in: Type) -> None:
    again = type_in(worked, "mriseg preprocess brats/ out.zarr")
    assert again.exit_code == 0, again.output
    assert again.stdout == "out.zarr: 3 cases (3 kept), 3 labelled\n"
    assert "layout brats" in again.stderr


def test_preprocess_names_the_case_it_skipped(worked: Path, type_in: Type) -> None:
    broken = next((worked / "brats").glob("*_002/*flair*"))
    broken.write_bytes(broken.read_bytes()[:2000])
    result = type_in(worked, "mriseg preprocess brats/ other.zarr --workers 1")
    assert result.exit_code == 6
    assert "BraTS20_Training_002" in result.stdout and "skipped" in result.stdout
    assert "2 written, 1 skipped" in result.stdout
    assert "error: 1 of 3 cases was skipped: BraTS20_Training_002" in result.stderr
    report = json.loads((worked / "other.zarr" / "report.json").read_text())
    assert [case["status"] for case in report["cases"]] == ["written", "skipped", "written"]

    strict = type_in(worked, "mriseg preprocess brats/ strict.zarr --workers 1 --strict")
    assert strict.exit_code == 3
    assert "error: case BraTS20_Training_002" in strict.stderr


def test_preprocess_refuses_another_scan_of_a_name(worked: Path, type_in: Type) -> None:
    other = phantoms.write_brats(worked / "other", 1, seed=5)[0]
    assert other.name == "BraTS20_Training_001"
    result = type_in(worked, "mriseg preprocess other out.zarr --workers 1")
    assert result.exit_code == 6 and "1 refused" in result.stdout
    assert "from other scans" in " ".join(result.output.split())
    forced = type_in(worked, "mriseg preprocess other out.zarr --workers 1 --overwrite")
    assert forced.exit_code == 0 and "1 written" in forced.stdout


def test_preprocess_takes_regions(worked: Path, type_in: Type) -> None:
    line = "mriseg preprocess brats/ r.zarr --regions WT=1+2+4,core=1+4 --workers 1"
    result = type_in(worked, line)
    assert result.exit_code == 0, result.output
    shown = type_in(worked, "mriseg info r.zarr").stdout
    assert "WT (labels 1+2+4), core (labels 1+4)" in shown
    unknown = type_in(worked, "mriseg preprocess brats/ u.zarr --regions XX")
    assert unknown.exit_code == 2 and "no region 'XX'" in unknown.stderr


def test_train_says_what_it_took(worked: Path, type_in: Type) -> None:
    line = f"mriseg train --modalities t1n,FLAIR --width 8 {FAST} --out mine"
    result = type_in(worked, line)
    assert result.exit_code == 0, result.output
    assert "store out.zarr, the only one in this folder" in result.stderr
    assert "backend cpu" in result.stderr
    assert re.search(r"epoch +1  loss \d", result.stderr)
    assert "run: mine" in result.stdout and "best Dice" in result.stdout
    assert "validation case" in result.stdout
    assert open_run(worked / "mine").manifest.modalities == ("T1", "FLAIR")
    taken = type_in(worked, line)
    assert taken.exit_code == 5 and "mine exists" in taken.stderr


class Notebook:
    """A tracker that notes what it is called with."""

    name, summary, id = "notebook", "this process", "one"
    notes: list[str] = []

    def check(self) -> None: ...

    def begin(self, training: TrackedTraining, known: str | None) -> Notebook:
        self.notes.append(f"begin {training.settings['width']}")
        return self

    def epoch(self, epoch: int, numbers: Mapping[str, float]) -> None:
        self.notes.append(f"epoch {epoch}")

    def artefact(self, path: Path) -> None: ...

    def close(self, ended: Ended, reason: str) -> None:
        self.notes.append(ended.value)


NOTEBOOK = Notebook()


def test_a_tracker_as_typed(worked: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRACKERS._targets, "notebook", f"{__name__}:NOTEBOOK")
    result = type_in(worked, f"mriseg train --width 8 {FAST} --out mine --tracker notebook")
    assert result.exit_code == 0, result.output
    assert Notebook.notes == ["begin 8", "epoch 1", Ended.DONE.value]
    wrong = type_in(worked, f"mriseg train --width 8 {FAST} --out other --tracker notebok")
    assert wrong.exit_code == 2 and "Did you mean 'notebook'" in wrong.stderr
    assert not (worked / "other").exists()


def test_train_with_named_cases(worked: Path, type_in: Type) -> None:
    case = "BraTS20_Training_00{}".format
    result = type_in(
        worked,
        f"mriseg train --width 8 {FAST} --out mine --validation-cases {case(2)} "
        f"--exclude {case(3)}",
    )
    assert result.exit_code == 0, result.output
    manifest = open_run(worked / "mine").manifest
    assert manifest.train == (case(1),) and manifest.validation == (case(2),)


def test_transfer_as_typed(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(worked, f"mriseg transfer --freeze encoder --modalities FLAIR,T1ce {FAST}")
    assert result.exit_code == 0, result.output
    assert f"run {run}, the newest under runs/" in result.stderr
    assert "store out.zarr, the only one in this folder" in result.stderr
    [target] = [p for p in (worked / "runs").iterdir() if p.name != run.name]
    assert f"see runs/{target.name}/transfer.json" in result.stdout
    manifest = open_run(target).manifest
    # The width is the run's, not the default.
    assert manifest.model["width"] == 8 and manifest.modalities == ("FLAIR", "T1CE")
    assert manifest.parent is not None and manifest.parent["freeze"] == "encoder"
    assert json.loads((target / "transfer.json").read_text())["frozen"]

    wrong = type_in(worked, "mriseg transfer --freeze decoder")
    assert wrong.exit_code == 2 and "freeze = 'decoder'" in wrong.stderr
    wrong = type_in(worked, "mriseg transfer --schedule sideways")
    assert wrong.exit_code == 2 and "--schedule = 'sideways'" in wrong.stderr
    assert "'lp-ft'" in wrong.stderr and "Traceback" not in wrong.output


def test_options_of_a_transfer_go_over_the_file_and_info_shows_them(
    worked: Path, run: Path, type_in: Type
) -> None:
    (worked / "settings.toml").write_text('[transfer]\nfreeze = "encoder:2"\nl2_sp = 1\n')
    line = "mriseg transfer --config settings.toml --schedule lp-ft --l2-sp 2 --layer-decay 0.9"
    result = type_in(worked, f"{line} --adapt-norm --out mine {FAST}")
    assert result.exit_code == 0, result.output
    assert "head alone trains" in result.stderr
    shown = type_in(worked, "mriseg info mine").stdout
    policy = (
        "trains all but the encoder's first 2 blocks, new layers first (LP-FT), layer decay 0.9, "
        "L2-SP 2, batch-norm statistics adapted"
    )
    assert f"transfer policy {policy}" in " ".join(shown.split())
    assert re.search(r"^frozen +encoder\.1, encoder\.2$", shown, re.MULTILINE)


@pytest.mark.slow
def test_a_comparison_as_typed(worked: Path, run: Path, type_in: Type) -> None:
    phantoms.write_nnunet(worked / "others", 2, seed=9, shape=(8, 32, 32))
    assert type_in(worked, "mriseg preprocess others others.zarr --workers 1").exit_code == 0
    line = (
        f"mriseg transfer others.zarr --from {run} --compare --methods full,lp-ft --folds 2 "
        f"--sizes all --seeds 2 {FAST} --out compared"
    )
    result = type_in(worked, line)
    assert result.exit_code == 0, result.output
    assert "12 trainings (3 methods x 1 sizes x 2 folds x 2 seeds) on 2 patients" in result.stderr
    assert len(re.findall(r"^\d+ of 12: .* Dice 0\.\d+ in 0:\d\d$", result.stderr, re.M)) == 12
    for word in ("vs scratch", "95 % interval", "minutes", "lp-ft", "comparison: compared"):
        assert word in result.stdout
    # Two patients can show nothing.
    assert re.search(r"^all patients: no difference could be shown: -?0\.", result.stdout, re.M)
    again = type_in(worked, line)
    assert again.exit_code == 0 and again.stdout == result.stdout
    assert "12 of them already done" in again.stderr


def test_settings_from_a_file(worked: Path, type_in: Type) -> None:
    file = worked / "settings.toml"
    file.write_text(
        'width = 8\nbudget = "1h"\nmodalities = ["flair", "t1n"]\nbatch_size = 4\n'
        "[augment]\nrotation = 5\n"
    )
    line = "mriseg train --config settings.toml --batch-size 8 --epochs 1 --backend cpu --out mine"
    result = type_in(worked, line)
    assert result.exit_code == 0, result.output
    config = open_run(worked / "mine").manifest.config
    assert config["width"] == 8 and config["batch_size"] == 8
    # The option says when to stop, so the file's budget does not.
    assert config["epochs"] == 1 and config["budget"] is None
    assert config["modalities"] == ["FLAIR", "T1"]
    assert config["augment"]["rotation"] == 5 and config["augment"]["flip"] == 0.5


def test_the_file_may_say_what_a_transfer_freezes(worked: Path, type_in: Type) -> None:
    (worked / "settings.toml").write_text('epochs = 1\n[transfer]\nfreeze = "encoder:2"\n')
    line = "mriseg transfer --config settings.toml --batch-size 8 --backend cpu --out mine"
    assert type_in(worked, line).exit_code == 0
    manifest = open_run(worked / "mine").manifest
    assert manifest.parent is not None and manifest.parent["freeze"] == "encoder:2"


def test_a_training_stopped_by_ctrl_c_resumes(worked: Path, type_in: Type) -> None:
    line = "train --width 8 --budget 3s --batch-size 2 --backend cpu --precision fp32"
    # As from a terminal, even where the tests run in the background and are to ignore Ctrl-C.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mriseg.cli.app import main; main()"
    )
    before = set(worked.glob("runs/*/last.safetensors"))
    with chdir(worked):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *line.split()], stderr=subprocess.PIPE, text=True
        )
    # From its first checkpoint on, there is something to go on from.
    while process.poll() is None and set(worked.glob("runs/*/last.safetensors")) == before:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate()
    assert process.returncode == 130, messages
    assert messages.splitlines()[-1].startswith("stopped: the latest checkpoint is kept")
    assert "Traceback" not in messages

    run = re.search(r"^run (runs/\S+):", messages, re.MULTILINE)
    assert run is not None and messages.rstrip().endswith(f"mriseg train --resume {run[1]}")
    assert "not ended" in type_in(worked, f"mriseg info {run[1]}").stdout
    (worked / "out.zarr").rename(worked / "moved.zarr")
    lost = type_in(worked, f"mriseg train --resume {run[1]}")
    assert lost.exit_code == 3 and "out.zarr does not exist" in lost.stderr
    (worked / "moved.zarr").rename(worked / "out.zarr")
    result = type_in(worked, "mriseg train --resume --backend cpu --precision fp32")
    assert result.exit_code == 0, result.output
    assert f"run {run[1]}, the newest under runs/ that was stopped" in result.stderr
    assert f"resuming {run[1]}" in result.stderr
    ended = type_in(worked, f"mriseg train out.zarr --resume --run {run[1]}")
    assert ended.exit_code == 3 and "has ended" in ended.stderr


@pytest.mark.slow
def test_forecast_shows_what_was_measured_and_a_sentence(worked: Path, type_in: Type) -> None:
    refused = type_in(worked, "mriseg forecast out.zarr --validation 0.2 --out forecast")
    assert refused.exit_code == 2
    assert "a forecast has no validation patients: leave out --validation" in refused.stderr
    line = f"mriseg forecast out.zarr --sizes 1,2 --folds 3 --rounds 1 {FAST} --out forecast"
    result = type_in(worked, line)
    assert result.exit_code == 0, result.output
    assert "2 trainings (2 sizes x 1 folds x 1 seeds) on 3 patients" in result.stderr
    assert "too few points to say: 2 sizes of training" in result.stdout
    again = type_in(worked, line)
    assert again.exit_code == 0 and "2 of them already done" in again.stderr
    missing = type_in(worked, "mriseg forecast out.zarr --from nowhere --out other")
    assert missing.exit_code != 0 and "nowhere does not exist" in missing.stderr
