"""The commands as typed: what they take unnamed, write, say, and how they fail."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch

from mriseg.backends import BACKENDS, available
from mriseg.io import nifti
from mriseg.io.runs import open_run
from tests import phantoms
from tests.cli.conftest import Type

# As the tests of one file share a process and two slow cores.
FAST = "--epochs 1 --batch-size 8 --backend cpu --precision fp32"


def test_preprocess_shows_a_summary_and_goes_on(worked: Path, type_in: Type) -> None:
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
    assert "error: 1 of 3 cases were skipped: BraTS20_Training_002" in result.stderr
    report = json.loads((worked / "other.zarr" / "report.json").read_text())
    assert [case["status"] for case in report["cases"]] == ["written", "skipped", "written"]

    strict = type_in(worked, "mriseg preprocess brats/ strict.zarr --workers 1 --strict")
    assert strict.exit_code == 3
    assert "error: case BraTS20_Training_002" in strict.stderr


def test_preprocess_takes_regions(worked: Path, type_in: Type) -> None:
    result = type_in(worked, "mriseg preprocess brats/ r.zarr --regions WT,core=1+4 --workers 1")
    assert result.exit_code == 0, result.output
    shown = type_in(worked, "mriseg info r.zarr").stdout
    assert "WT = 1+2+3+4, core = 1+4" in shown
    unknown = type_in(worked, "mriseg preprocess brats/ u.zarr --regions XX")
    assert unknown.exit_code == 2 and "no region 'XX'" in unknown.stderr


def test_a_backend_that_is_not_here(worked: Path, type_in: Type) -> None:
    absent = [entry.name for entry in available() if not entry.ok]
    if not absent:
        pytest.skip("this machine has every backend")
    name = "mps" if "mps" in absent else absent[0]
    result = type_in(worked, f"mriseg train --backend {name}")
    assert result.exit_code == 4
    assert f"no {name.upper()} device here" in result.stderr
    assert "available: cpu" in result.stderr
    assert len(list((worked / "runs").iterdir())) == 1
    unknown = type_in(worked, "mriseg train --backend tpu")
    assert unknown.exit_code == 2 and "known: cpu, cuda, mps" in unknown.stderr


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


def test_one_store_is_taken_and_several_are_listed(
    worked: Path, tmp_path: Path, type_in: Type
) -> None:
    shutil.copytree(worked / "out.zarr", worked / "second.zarr")
    for command in ("train", "transfer", "evaluate"):
        result = type_in(worked, f"mriseg {command}")
        assert result.exit_code == 3
        assert "out.zarr, second.zarr" in result.stderr
    (tmp_path / "empty").mkdir()
    none = type_in(tmp_path / "empty", "mriseg train")
    assert none.exit_code == 3 and "mriseg preprocess" in none.stderr
    for command in ("transfer", "predict a b", "export torchscript"):
        result = type_in(tmp_path / "empty", f"mriseg {command}")
        assert result.exit_code == 3 and "mriseg train" in result.stderr, command


def test_transfer_as_typed(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(worked, f"mriseg transfer --freeze encoder --modalities FLAIR,T1ce {FAST}")
    assert result.exit_code == 0, result.output
    assert f"run {run}, the newest under runs/" in result.stderr
    assert "store out.zarr, the only one in this folder" in result.stderr
    [made] = [p for p in (worked / "runs").iterdir() if p.name != run.name]
    assert f"see runs/{made.name}/transfer.json" in result.stdout
    manifest = open_run(made).manifest
    # The width is the run's, not the default.
    assert manifest.model["width"] == 8 and manifest.modalities == ("FLAIR", "T1CE")
    assert manifest.parent is not None and manifest.parent["freeze"] == "encoder"
    assert json.loads((made / "transfer.json").read_text())["frozen"]

    wrong = type_in(worked, "mriseg transfer --freeze decoder")
    assert wrong.exit_code == 2 and "freeze = 'decoder'" in wrong.stderr
    wrong = type_in(worked, "mriseg transfer --schedule sideways")
    assert wrong.exit_code == 2 and "transfer.schedule = 'sideways'" in wrong.stderr
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
    told = "freeze encoder:2, lp-ft, layer decay 0.9, L2-SP 2, BatchNorm adapted"
    assert told in " ".join(shown.split())
    assert "never trained     encoder.1, encoder.2\n" in shown


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
    for word in ("to scratch", "95 % interval", "minutes", "lp-ft", "comparison: compared"):
        assert word in result.stdout
    # Two patients can show nothing.
    assert re.search(r"^all patients: no difference could be shown: -?0\.", result.stdout, re.M)
    again = type_in(worked, line)
    assert again.exit_code == 0 and again.stdout == result.stdout
    assert "12 of them already done" in again.stderr


def test_export_as_typed(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(worked, "mriseg export torchscript")
    assert result.exit_code == 0, result.output
    assert f"run {run}, the newest under runs/" in result.stderr
    assert "differs from the model by" in result.stdout
    [path] = (worked / run).glob("model*")
    assert callable(torch.jit.load(path))
    named = type_in(worked, f"mriseg export torchscript --model {run} --out here.pt")
    assert named.exit_code == 0 and (worked / "here.pt").is_file()
    unknown = type_in(worked, "mriseg export onnxx")
    assert unknown.exit_code == 2 and "known: " in unknown.stderr


def test_predict_writes_masks_and_a_table(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(worked, "mriseg predict brats out --probabilities --flips --min-volume 0.1")
    assert result.exit_code == 0, result.output
    assert f"run {run}, the newest" in result.stderr
    assert "WT (mL)" in result.stdout and "BraTS20_Training_003" in result.stdout
    names = sorted(path.name for path in (worked / "out").iterdir())
    assert names[:3] == [
        f"BraTS20_Training_001{end}" for end in (".nii.gz", ".png", "_prob_WT.nii.gz")
    ]
    assert len(names) == 9

    one = "mriseg predict brats mask.nii.gz --cases BraTS20_Training_002 --no-overlays"
    assert type_in(worked, one).exit_code == 0
    scan = next((worked / "brats").glob("*_002/*flair*"))
    mask, geometry = nifti.read(worked / "mask.nii.gz")
    assert mask.shape == nifti.read(scan)[0].shape
    assert np.allclose(geometry.affine, nifti.read(scan)[1].affine)
    assert not (worked / "mask.png").exists()


def test_predict_skips_what_it_cannot_use(worked: Path, run: Path, type_in: Type) -> None:
    next((worked / "brats").glob("*_002/*flair*")).unlink()
    result = type_in(worked, f"mriseg predict brats out --model {run}")
    assert result.exit_code == 6
    assert "it lacks FLAIR" in result.stderr
    assert "BraTS20_Training_001" in result.stdout
    allowed = type_in(worked, f"mriseg predict brats out --model {run} --allow-missing")
    assert allowed.exit_code == 0, allowed.output
    other = type_in(worked, "mriseg predict brats out --cases nobody")
    assert other.exit_code == 3 and "no case nobody" in other.stderr


def test_evaluate_a_model(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(
        worked, "mriseg evaluate --out scores --csv a.csv --json a.json --include-seen"
    )
    assert result.exit_code == 0, result.output
    assert "store out.zarr, the only one" in result.stderr and f"run {run}" in result.stderr
    words = ("Dice", "IoU", "sensitivity", "HD95 (mm)", "95 % interval", "median")
    for word in (*words, "NSD at 2 mm", "lesion F1"):
        assert word in result.stdout
    # Two of three were trained on, and are marked.
    assert result.stdout.count("*") == 3 and "says nothing of others" in result.stdout
    with (worked / "a.csv").open() as file:
        assert [row["seen"] for row in csv.DictReader(file)].count("True") == 2
    assert (worked / "a.csv").read_bytes() == (worked / "scores" / "cases.csv").read_bytes()
    assert len(json.loads((worked / "a.json").read_text())["cases"]) == 3


def test_evaluate_files(worked: Path, type_in: Type) -> None:
    masks = worked / "masks"
    for truth in (worked / "brats").glob("*/*_seg.nii.gz"):
        masks.mkdir(exist_ok=True)
        shutil.copy(truth, masks / truth.name.replace("_seg", ""))
    result = type_in(worked, "mriseg evaluate --masks masks --truths brats --regions WT=1+2+4,ET=4")
    assert result.exit_code == 0, result.output
    assert len(re.findall(r"(WT|ET) +1\.000 +1\.000", result.stdout)) == 6
    (masks / "stray.nii.gz").write_bytes(next(masks.iterdir()).read_bytes())
    stray = type_in(worked, "mriseg evaluate --masks masks --truths brats")
    assert stray.exit_code == 6 and "stray" in stray.stderr


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("preprocess nowhere a.zarr", 3, "there is no folder nowhere"),
        ("preprocess brats a.zarr --layout dicom", 2, "known: brats, flat, lgg, nnunet"),
        ("preprocess brats runs", 5, "runs is not an mriseg store"),
        ("train nowhere.zarr", 3, "nowhere.zarr does not exist"),
        ("train --modalities T1,PET", 2, "no modality PET"),
        ("train --regions ET", 2, "no region ET"),
        ("train --epochs 1 --budget 3m", 2, "give epochs or a budget"),
        ("train --budget soon", 2, "'soon' is no duration"),
        ("train --width 12", 2, "width = 12"),
        ("train --size 100", 2, "size = '100': expected height x width"),
        ("train --pos-weight -1", 2, "pos_weight = '-1'"),
        ("train --loss dise", 2, "there is no loss 'dise'"),
        ("train --precision fp8", 2, "precision = 'fp8'"),
        ("train --encoder-weights none.pth", 3, "no encoder weights at none.pth"),
        ("train --run runs/x", 2, "give --resume too"),
        ("train --resume", 3, "stopped before its end"),
        ("train --resume --epochs 3 --config x.toml", 2, "leave out --epochs, --config"),
        ("train --config none.toml", 2, "--config none.toml cannot be read"),
        ("transfer --from brats", 3, "brats is not a run folder"),
        ("transfer --folds 2 --sizes all", 2, "--sizes, --folds: of a comparison; give --compare"),
        ("transfer --compare --patience 3", 2, "no patients that validate: leave --patience out"),
        ("transfer --compare --freeze none", 2, "leave --freeze"),
        ("transfer --compare --methods lpft", 2, "there is no lpft; known: scratch"),
        ("transfer --compare", 2, "trained on 2 of the store's 3 patients"),
        ("predict brats out --model nowhere", 3, "nowhere does not exist"),
        ("predict nowhere out", 3, "there is no folder nowhere"),
        ("evaluate --masks brats", 2, "go together"),
        ("evaluate out.zarr --masks brats --truths brats", 2, "leave STORE"),
        ("evaluate --regions WT=1", 2, "--regions is for --masks"),
        ("info brats", 3, "neither a store"),
        ("demo --minutes 0", 2, "minutes = 0"),
    ],
)
def test_a_mistake_is_one_message(
    worked: Path, type_in: Type, line: str, code: int, message: str
) -> None:
    result = type_in(worked, f"mriseg {line}")
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stderr.count("error: ") == 1
    assert result.stdout == "" and "Traceback" not in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_word_that_is_no_command_or_number(worked: Path, type_in: Type) -> None:
    for line in ("mriseg fly", "mriseg train --epochs many", "mriseg predict onlyone"):
        assert type_in(worked, line).exit_code == 2


def test_a_folder_that_cannot_be_written(worked: Path, type_in: Type) -> None:
    (worked / "file").write_text("")
    result = type_in(worked, "mriseg evaluate --csv file/a.csv")
    assert result.exit_code == 5 and "error: file cannot be written" in result.stderr


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht = 8", "there is no setting 'widht'; did you mean 'width'?"),
        ("[augment]\nspin = 1", "there is no setting 'augment.spin'"),
        ("width = 'wide'", "width = 'wide'"),
        ("width = = 8", "is no TOML"),
        ('[transfer]\nfreeze = "none"', "transfer is a setting of transfers alone"),
    ],
)
def test_a_file_of_settings_that_is_wrong(
    worked: Path, type_in: Type, text: str, message: str
) -> None:
    (worked / "settings.toml").write_text(text)
    result = type_in(worked, "mriseg train --config settings.toml")
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_file_may_say_what_a_transfer_freezes(worked: Path, type_in: Type) -> None:
    (worked / "settings.toml").write_text('epochs = 1\n[transfer]\nfreeze = "encoder:2"\n')
    line = "mriseg transfer --config settings.toml --batch-size 8 --backend cpu --out mine"
    assert type_in(worked, line).exit_code == 0
    manifest = open_run(worked / "mine").manifest
    assert manifest.parent is not None and manifest.parent["freeze"] == "encoder:2"


def test_info_of_the_machine(tmp_path: Path, type_in: Type) -> None:
    result = type_in(tmp_path, "mriseg info")
    assert result.exit_code == 0, result.output
    for name in BACKENDS:
        assert re.search(rf"^ *{name} +(yes|no)", result.stdout, re.MULTILINE), name
    for word in ("chosen: ", "since", torch.__version__, "un-pooling", "threads", "cores"):
        assert word in result.stdout


def test_info_of_a_store_and_a_run(worked: Path, run: Path, type_in: Type) -> None:
    store = type_in(worked, "mriseg info out.zarr")
    assert store.exit_code == 0 and "3 of 3 patients, 3 labelled" in store.stdout
    assert "T1CE (3 cases)" in store.stdout and "WT = 1+2+3+4" in store.stdout
    found = type_in(worked, f"mriseg info {run}")
    assert found.exit_code == 0 and "width 8: T1+T2+FLAIR -> WT" in found.stdout
    assert "all 1 epochs are done" in found.stdout


def test_a_training_stopped_by_ctrl_c_goes_on(worked: Path, type_in: Type) -> None:
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
    _, told = process.communicate()
    assert process.returncode == 130, told
    assert told.splitlines()[-1].startswith("error: stopped: the latest checkpoint is kept")
    assert "Traceback" not in told

    run = re.search(r"^run (runs/\S+):", told, re.MULTILINE)
    assert run is not None
    assert "not ended" in type_in(worked, f"mriseg info {run[1]}").stdout
    (worked / "out.zarr").rename(worked / "moved.zarr")
    lost = type_in(worked, f"mriseg train --resume {run[1]}")
    assert lost.exit_code == 3 and "out.zarr does not exist" in lost.stderr
    (worked / "moved.zarr").rename(worked / "out.zarr")
    result = type_in(worked, "mriseg train --resume --backend cpu --precision fp32")
    assert result.exit_code == 0, result.output
    assert f"run {run[1]}, the newest under runs/ that was stopped" in result.stderr
    assert f"going on with {run[1]}" in result.stderr
    ended = type_in(worked, f"mriseg train out.zarr --resume --run {run[1]}")
    assert ended.exit_code == 3 and "has ended" in ended.stderr


def test_ctrl_c_that_was_ignored_when_mriseg_started_stays_ignored() -> None:
    # As where a script runs `nohup mriseg train &`.
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from mriseg.cli.group import _stoppable\n"
        "with _stoppable():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print(signal.getsignal(signal.SIGTERM).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "_stop\n"), done.stderr


def test_the_shipped_model_goes_wherever_a_run_does(worked: Path, type_in: Type) -> None:
    computing = "--backend cpu --precision fp32"
    quick = f"--no-flips {computing}"
    for line, said in (
        ("mriseg info base", "a model alone"),
        (f"mriseg predict brats masks --model base --allow-missing {quick}", "BraTS20"),
        (f"mriseg evaluate out.zarr --model base {quick}", "Dice"),
        ("mriseg export torchscript --model base", "base.torchscript.pt"),
        (f"mriseg transfer --from base --budget 1s --batch-size 8 {computing}", "tensors"),
    ):
        result = type_in(worked, line)
        assert result.exit_code == 0, result.output
        assert said in result.output, line
    assert (worked / "base.torchscript.pt").is_file()
    result = type_in(worked, "mriseg predict brats masks --model bsae")
    assert result.exit_code == 3
    assert "shipped: base. Did you mean 'base'?" in " ".join(result.output.split())


def test_share_as_typed(worked: Path, run: Path, type_in: Type) -> None:
    assert type_in(worked, f"mriseg evaluate --model {run} --out held").exit_code == 0
    result = type_in(worked, "mriseg share handed --evaluation T1=held/evaluation.json")
    assert result.exit_code == 0, result.output
    assert "handed: " in result.output and "still to fill in" in result.output
    assert "| T1 | WT |" in (worked / "handed" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert type_in(worked, "mriseg info handed").exit_code == 0
    # A folder that has the model's name is one only by its path.
    shutil.move(worked / "handed", worked / "base")
    for name, own in (("base", False), ("./base", True)):
        result = type_in(worked, f"mriseg info {name}")
        assert ("out.zarr" in result.output) == own, result.output
    result = type_in(worked, "mriseg share other --evaluation =")
    assert result.exit_code == 2
