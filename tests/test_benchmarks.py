"""Each script of ``benchmarks/`` runs from end to end at a tiny size, and is on its page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import accuracy, paired, starts
from benchmarks._nnunet import labels
from benchmarks._processes import Process, alone
from benchmarks._timing import interleaved, seconds_of
from benchmarks._trainings import Outcome
from benchmarks._until import Contender, Rules, middle, race
from benchmarks.accuracy import OURS, THEIRS, Fold, summarise
from mriseg.api import preprocess
from mriseg.core.config import TrainConfig
from mriseg.core.metrics import CaseScores
from mriseg.errors import ConfigError, InputError
from mriseg.io.runs import Run, open_run
from mriseg.io.sample import sample_dir
from mriseg.testing import phantoms

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "benchmarks"
PAGES = (ROOT / "docs" / "benchmarks.md", SCRIPTS / "README.md")

# script -> options for a run of seconds, and what it needs beyond mriseg.
TINY = {
    "network": (
        "--rounds 1 --batch-size 2 --size 64x64 --box 64x32 --width 8 --backend cpu "
        "--precision fp32",
        ("dynamic_network_architectures", "monai"),
    ),
    "loading": ("--rounds 1 --batches 2", ("monai", "torchio")),
    "preprocessing": ("--rounds 1", ("monai", "torchio")),
    "inspection": ("--rounds 1 --cases 4", ()),
    "annotation": ("--rounds 1 --width 8 --backend cpu --precision fp32", ()),
    "pages": ("--rounds 1 --cases 2", ()),
    "case": ("--rounds 1 --width 8 --backend cpu --precision fp32", ()),
    "ranks": ("--rounds 1 --steps 1 --widths 8 --batch-size 3 --size 32", ()),
    "exports": ("--rounds 1", ("onnx", "onnxruntime")),
    "stripping": ("--cases 1 --strippers deepbet --modalities best", ("deepbet",)),
    "large": ("--cases 5", ()),
    "scheduler": ("--workers 2 --seconds 0.1 --each 2", ("distributed",)),
    "remote": (
        "--latency 0 --cases 3 --shape 8x40x36 --steps 2 --epochs 1 --batch-size 2 --width 8",
        ("obstore", "moto"),
    ),
    "training_wait": (
        "--steps 2 --epochs 1 --cases 3 --batch-size 2 --width 8 --backend cpu --precision fp32",
        (),
    ),
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three phantoms in ``brats/``."""
    root = tmp_path_factory.mktemp("data")
    phantoms.write_brats(root / "brats", 3, shape=(8, 40, 36))
    return root


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the three patients in the package."""
    store = tmp_path_factory.mktemp("store") / "sample.zarr"
    preprocess(sample_dir(), store)
    return store


def run(script: str, options: str, data: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", f"benchmarks.{script}", *options.split()]
    environment = {**os.environ, "MRISEG_DATA": str(data)}
    return subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, **kwargs
    )


def ended(script: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[Any, ...]:
    """Run a script in this process: its exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        import_module(f"benchmarks.{script}").main(words)
    return (end.value.code, *capsys.readouterr())


def test_every_script_is_tried() -> None:
    scripts = {path.stem for path in SCRIPTS.glob("*.py") if not path.name.startswith("_")}
    assert scripts == {*TINY, "accuracy", "paired", "reader", "starts"}


@pytest.mark.slow
@pytest.mark.parametrize("script", TINY)
def test_a_script_from_end_to_end(script: str, scans: Path, tmp_path: Path) -> None:
    options, needs = TINY[script]
    lacking = [name for name in needs if find_spec(name) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} is not installed: it takes the bench extra")
    out = tmp_path / "report.json"
    done = run(script, f"{options} --json {out}", scans)
    assert done.returncode == 0, done.stderr
    assert f"benchmarks.{script}:" in done.stdout
    report = json.loads(out.read_text(encoding="utf-8"))
    assert (report["format"], report["version"]) == ("mriseg-benchmark", 1)
    assert report["script"] == f"benchmarks.{script}" and report["machine"]["versions"]
    assert report["groups"] or report["numbers"]
    for group in report["groups"]:
        names = [row["name"] for row in group["rows"]]
        assert group["base"] in names and len(names) >= 3
        for row in group["rows"]:
            assert row["name"] in done.stdout
            for timing in (row["seconds"], row["ratio"]):
                assert 0 < timing["low"] <= timing["median"] <= timing["high"]
        [base] = [row for row in group["rows"] if row["name"] == group["base"]]
        assert base["ratio"]["low"] == base["ratio"]["high"] == 1


@pytest.mark.slow
def test_reader_from_end_to_end(trained: Run, tmp_path: Path) -> None:
    # Other names than those that the start was trained on.
    phantoms.write_brats(tmp_path / "scans", 5, seed=9, shape=(8, 40, 36), names="2023")
    preprocess(tmp_path / "scans", tmp_path / "new.zarr", regions="WT,TC,ET", workers=1)
    brief = json.dumps({"epochs": 1, "slices_per_epoch": 8, "batch_size": 4})
    words = f"{tmp_path / 'new.zarr'} --starts {trained.path} --sizes 1 2 --held 2"
    words += f" --out {tmp_path / 'out'} --settings"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reader", *words.split(), brief],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out" / "reader.json").read_text(encoding="utf-8"))["rows"]
    assert set(rows) == {"start", "queue-1", "queue-2", "random-1", "random-2"}
    held = set(rows["start"][0])
    assert len(held) == 2 and all(set(dice) == held for [dice] in rows.values())
    assert "2 corrected, 2 patients held out: " in done.stdout


@pytest.mark.slow
def test_starts_from_end_to_end(tmp_path: Path) -> None:
    for name, modalities in (("all", ("t1", "t1ce", "t2", "flair")), ("t1", ("t1",))):
        scans = tmp_path / name
        phantoms.write_brats(scans, 3, shape=(6, 40, 36), modalities=modalities)
        preprocess(scans, tmp_path / f"{name}.zarr", workers=1)
    stores = f"{tmp_path / 'all.zarr'} {tmp_path / 't1.zarr'}"
    words = (
        f"{tmp_path / 'out'} --stores {stores} --ways tasks hidden both --minutes 0.05 --width 8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.starts", *words.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    weights = []
    for way in ("tasks", "hidden", "both"):
        run = open_run(tmp_path / "out" / way)
        assert run.manifest.model["in_channels"] == 4 and run.manifest.model["classes"] == 1
        weights.append(run.load("best").weights["encoder.1.0.conv.weight"])
    assert not any(torch.equal(a, b) for a, b in combinations(weights, 2))
    # A store with more modalities than the first has no channels to come into.
    with pytest.raises(ConfigError, match="has FLAIR, T1CE, T2, and .* does not"):
        starts.parts_of(stores.split()[::-1], TrainConfig(width=8, validation=0))


def test_paired_takes_differences_of_the_same_patients(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, more in (("scratch", 0.0), ("base", 0.25)):
        rows = [
            f"5,{seed},{patient},{0.25 * seed + more * (patient != 'c')}"
            for seed in (0, 1)
            for patient in "abc"
        ]
        (tmp_path / name).mkdir()
        text = "\n".join(["size,seed,patient,dice", *rows])
        (tmp_path / name / "forecast.csv").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["paired", str(tmp_path / "scratch"), str(tmp_path / "base")])
    paired.main()
    shown = " ".join(capsys.readouterr().out.split())
    assert "5 scratch 0.125" in shown
    assert "5 base 0.292 +0.167 [" in shown and "2 of 3" in shown
    fewer = [row for row in paired.read(tmp_path / "base") if row["patient"] != "a"]
    with pytest.raises(InputError, match="same patients"):
        paired.compared(paired.read(tmp_path / "scratch"), fewer, "5")


@given(seed=st.integers(0, 2**31), b=st.integers(1, 4), c=st.integers(1, 4))
def test_only_what_is_there_is_hidden(seed: int, b: int, c: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn((b, c, 40, 36), generator=generator)
    image[..., :10] = 0  # outside the brain
    image[0, 1:] = 0  # a scan with one modality
    shown, hidden = starts.hide(image, generator)
    assert set(hidden.unique().tolist()) <= {0.0, 1.0}
    assert not hidden[..., :10].any() and not hidden[0, 1:].any()
    assert torch.equal(shown, torch.where(hidden.bool(), 0, image))
    assert starts.filling(image, torch.cat([image, hidden], dim=1)) == 0


@pytest.mark.slow
def test_accuracy_from_end_to_end(sample: Path, tmp_path: Path) -> None:
    if find_spec("nnunetv2") is None:
        pytest.skip("nnunetv2 is not installed: it takes the bench extra")
    out = tmp_path / "report.json"
    options = (
        f"{sample} --minutes 0.5 --folds 3 --fold 0 --batch-size 2 --threads 1 "
        f"--set width=8 slices_per_epoch=32 batch_size=8 --work {tmp_path / 'work'} --json {out}"
    )
    done = run("accuracy", options, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "patients held out (1)" in done.stdout
    report = json.loads(out.read_text(encoding="utf-8"))
    assert (report["format"], report["script"]) == ("mriseg-benchmark", "benchmarks.accuracy")
    [fold], [region] = report["details"]["folds"], report["details"]["summary"]
    assert len(fold["train"]) == 2 and len(fold["held"]) == 1
    rows = report["details"]["patients"]
    assert [row["contender"] for row in rows] == ["mriseg", "nnU-Net 2-D"]
    for row, side in zip(rows, ("ours", "theirs"), strict=True):
        assert row["case"] in fold["held"] and 0 <= row["dice"] <= 1
        assert region[side]["mean"] == row["dice"]
        trained = fold[row["contender"]]
        # As long as asked for, but for the step under way and mriseg's last validation.
        assert 30 <= trained["seconds"] < 60 and trained["steps"] > 3
        first, last = trained["loss"]
        assert last < first
    assert region["difference"]["mean"] == pytest.approx(rows[0]["dice"] - rows[1]["dice"])

    # The trainings are there: nothing is done again, and other settings are refused.
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*")}
    assert run("accuracy", options, tmp_path).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*")} == kept
    again = json.loads(out.read_text(encoding="utf-8"))
    assert again["details"] == report["details"]
    refused = run("accuracy", options.replace("--batch-size 2", "--batch-size 4"), tmp_path)
    assert refused.returncode == 2 and "other settings" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--folds 9", "9 folds"),
        ("--folds 3 --fold 3", "from 0 to 2"),
        ("--set widht=8", "widht"),
        ("--predict flip=true", "flips"),
        ("--folds 3 --until 1.5", "between 0 and 1"),
        ("--folds 3 --until 0.8 --every 0", "above 0"),
        ("--until 0.8 --folds 3 --fold 0 1", "no more than one fold"),
    ],
)
def test_accuracy_refuses_wrong_options(
    options: str,
    message: str,
    sample: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Before anything is trained, so that nnU-Net need not be here.
    monkeypatch.setattr(accuracy, "need", lambda *names: None)
    code, _, err = ended("accuracy", [str(sample), *options.split()], capsys)
    assert code == 2 and message in err


def test_regions_as_nnunet_has_them() -> None:
    apart, table = labels({"left": (1, 2), "right": (7,)})
    assert apart == {"left": 1, "right": 2}
    assert table[[0, 1, 2, 3, 7]].tolist() == [0, 1, 1, 0, 2]
    # BraTS: each within the one before; values without the gap that 4 leaves.
    nested, table = labels({"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)})
    assert nested == {"WT": [1, 2, 3], "TC": [1, 3], "ET": [3]}
    assert table[[0, 1, 2, 4]].tolist() == [0, 1, 2, 3]


def test_a_patient_counts_once_in_the_summary() -> None:
    def outcome(**dice: float) -> Outcome:
        nothing = {field.name: 0 for field in fields(CaseScores)}
        scores = tuple(
            CaseScores(**nothing | {"case": case, "region": "WT", "dice": value, "unit": "mm"})
            for case, value in dice.items()
        )
        return Outcome(scores, 60.0, 60.0, 1, 1, (1.0, 0.5), {})

    done = [
        Fold(0, (), (), {OURS: outcome(a=0.9, b=0.5), THEIRS: outcome(a=0.7, b=0.3)}),
        Fold(1, (), (), {OURS: outcome(c=0.8), THEIRS: outcome(c=0.9)}),
    ]
    [summary] = summarise(done, {"a": "one", "b": "one", "c": "two"}, ["WT"])
    assert summary.ours.mean == pytest.approx((0.7 + 0.8) / 2)
    assert summary.theirs.mean == pytest.approx((0.5 + 0.9) / 2)
    assert summary.difference.mean == pytest.approx((0.2 - 0.1) / 2)
    assert summary.difference.patients == 2


@pytest.mark.parametrize("script", ["preprocessing", "inspection", "case", "training_wait"])
def test_without_scans_there_is_nothing_to_do(
    script: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MRISEG_DATA", str(tmp_path))
    code, out, err = ended(script, [], capsys)
    assert code == 0
    assert f"benchmarks.{script} needs BraTS cases" in err and out == ""


@pytest.mark.parametrize("name", ["network", "loading", "accuracy"])
def test_what_is_not_installed_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # None of them is found, whether or not they are here.
    for lacking in ("monai", "torchio", "dynamic_network_architectures", "nnunetv2"):
        monkeypatch.setitem(sys.modules, lacking, None)
    code, _, err = ended(name, ["no.zarr"] if name == "accuracy" else [], capsys)
    assert code == 2
    assert "is not installed" in err and "[bench]" in err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_what_the_pages_name_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\bbenchmarks\.(\w+)", text)) - {"json", "md"}
    assert named
    assert {name for name in named if not (SCRIPTS / f"{name}.py").is_file()} == set()
    for module in re.findall(r"`(_\w+)`", text):
        assert (SCRIPTS / f"{module}.py").is_file()


def test_every_script_is_on_the_page() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    assert [name for name in TINY if f"`benchmarks.{name}`" not in text] == []


def test_contenders_take_turns() -> None:
    turns: list[str] = []

    def contender(name: str, seconds: Iterator[float]) -> Any:
        def once() -> float:
            turns.append(name)
            return next(seconds)

        return once

    group = interleaved(
        "work",
        {
            "ours": contender("ours", iter([9.0, 1.0, 2.0, 4.0])),
            "other": contender("other", iter([9.0, 3.0, 4.0, 20.0])),
        },
        base="ours",
        rounds=3,
    )
    assert turns == ["ours", "other"] * 4
    ours, other = group.rows
    assert (ours.seconds.median, other.seconds.median) == (2.0, 4.0)
    # Within each round, not the ratio of the medians: 3, 2 and 5.
    assert (other.ratio.low, other.ratio.median, other.ratio.high) == (2.0, 3.0, 5.0)
    assert group["other"] is other


def test_seconds_are_of_a_piece() -> None:
    assert seconds_of(lambda: None, pieces=4)() >= 0


def _actions(start: int) -> dict[str, Any]:
    kept = [start]

    def count() -> int:
        kept[0] += 1
        return kept[0]

    return {"count": count, "pid": os.getpid, "fail": lambda: 1 / 0, "die": lambda: os._exit(3)}


@pytest.mark.slow
def test_a_process_keeps_its_state_and_reports_its_errors() -> None:
    with Process(_actions, 40) as one, Process(_actions, 0) as other:
        assert (one("count"), one("count"), other("count")) == (41, 42, 1)
        assert len({one("pid"), other("pid"), os.getpid()}) == 3
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            one("fail")
        assert one("count") == 43
        with pytest.raises(RuntimeError, match="ended with code 3"):
            other("die")
    assert alone(max, 3, 5) == 5


def _raced(dice: list[float], *, seconds: float, every: float, trying: float = 100.0) -> Any:
    """A race of steps of 4 s, whose tries take as long as they like; and the shares it was told."""
    clock, shares = [0.0], []

    def step(share: float) -> None:
        shares.append(share)
        clock[0] += 4

    def scores() -> Any:
        clock[0] += trying
        return dice.pop(0)

    rules = Rules(0.8, seconds, every)
    reached = race(Contender(step, scores, {}), rules, lambda value: value, now=lambda: clock[0])
    return reached, shares


def test_a_race_ends_with_the_first_try_that_reaches_the_dice() -> None:
    reached, shares = _raced([0.1, 0.7, 0.8, 0.9], seconds=100, every=10)
    # Tries after the steps that pass 10, 20 and 30 s; what they take is on no clock.
    assert (reached.seconds, reached.steps) == (32, 8)
    assert reached.curve == ((12, 0.1), (20, 0.7), (32, 0.8))
    assert shares == [4 * number / 100 for number in range(8)]


def test_a_race_that_is_not_won_ends_with_a_last_try() -> None:
    reached, shares = _raced([0.1, 0.2], seconds=26, every=20)
    assert reached.seconds is None and reached.steps == 7
    assert [when for when, _ in reached.curve] == [20, 28] and max(shares) < 1


def test_the_median_of_trainings_of_which_some_did_not_get_there() -> None:
    rules = Rules(0.8, 600, 30)
    assert middle([90, None, 60], rules) == "90 s"
    assert middle([None, 60, None], rules) == "not within 10 min"
    assert middle([60, 90], rules) == "75 s"
    assert middle([60, None], rules) == "not within 10 min"


@pytest.mark.slow
def test_until_from_end_to_end(sample: Path, tmp_path: Path) -> None:
    if find_spec("monai") is None or find_spec("nnunetv2") is None:
        pytest.skip("monai or nnunetv2 is not installed: it takes the bench extra")
    out = tmp_path / "report.json"
    options = (
        f"{sample} --until 0.99 --minutes 0.1 --every 4 --seeds 3 --folds 3 --batch-size 2 "
        f"--threads 1 --set width=8 batch_size=2 norm_batches=2 --work {tmp_path / 'work'} "
        f"--json {out}"
    )
    done = run("accuracy", options, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("not within 0.1 min") >= 3
    trainings = json.loads(out.read_text(encoding="utf-8"))["details"]["trainings"]
    assert [each["contender"] for each in trainings] == ["mriseg", "nnU-Net 2-D", "MONAI BasicUNet"]
    for each in trainings:
        assert each["steps"] > 0 and each["curve"]
        assert all(0 <= dice <= 1 for _, dice in each["curve"])
