"""Every report shows the numbers that matter, in one sentence, a small table and a data frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

import mriseg
from mriseg import api
from mriseg.core.comparison import Cell, Comparison
from mriseg.core.forecast import Forecast, Point
from mriseg.core.statistics import Estimate
from mriseg.core.transfer import Shape, TensorPlan, TransferPlan
from mriseg.engine.capacity import Memory, Pace, Workload
from mriseg.engine.timing import Timing
from mriseg.engine.workloads import BenchConfig
from mriseg.io.disk.faults import Fault
from mriseg.io.runs import Run
from mriseg.overview.shown import Shown
from mriseg.overview.values import PAGE
from mriseg.recipes.bench import BenchReport, MatrixRate, Preprocessing, Reading, Work
from mriseg.recipes.compare import CompareReport
from mriseg.recipes.demo import DemoReport
from mriseg.recipes.doctor import DoctorReport, Finding, Verdict
from mriseg.recipes.export import ExportReport
from mriseg.recipes.export_int8 import Int8Report
from mriseg.recipes.fit import TrainReport
from mriseg.recipes.forecast import ForecastReport
from mriseg.recipes.improve import ImproveReport
from mriseg.recipes.info import holds
from mriseg.recipes.info_machine import MachineInfo
from mriseg.recipes.info_runs import RunInfo, RunLine, RunsInfo, run_info
from mriseg.recipes.inspect import InspectedCase, InspectReport
from mriseg.recipes.predict import CasePrediction, PredictReport
from mriseg.recipes.preprocess import CaseReport, PreprocessReport
from mriseg.recipes.push import PushReport
from mriseg.recipes.scores import EvaluateReport
from mriseg.recipes.share import ShareReport
from mriseg.recipes.transfer import TransferReport
from mriseg.recipes.verify import VerifyReport
from mriseg.report.pages.improvement import Pair
from tests.recipes.test_scores import measured

SHAPE = Shape(("T1",), ("WT",), 8)
PLAN = TransferPlan(
    SHAPE, SHAPE, (((0, 1.0),),), (0,), (), (TensorPlan("a", "kept", "", False),) * 3
)
TIMES = Timing(0.5, 0.4, 0.6, 3)
CPU = {
    "name": "cpu",
    "precision": "float32",
    "device name": "a CPU",
    "reason": "it is",
    "notes": [],
}
MACHINE = MachineInfo(
    {"mriseg": "1"}, "Linux", 2, 2**31, (("cpu", True, ""), ("mps", False, "x")), CPU
)
DICE = {"a": {"WT": 0.5, "ET": 0.25}, "b": {"WT": 0.75, "ET": math.nan}}


def trained(run: Path) -> TrainReport:
    return TrainReport(run, 0.625, 2, 3, 61.0, "all 3 epochs are done", DICE)


def a_mask(folder: Path, name: str, volume: float) -> CasePrediction:
    return CasePrediction(name, folder / f"{name}.nii.gz", {"WT": volume}, "mm", False, ("T1",))


def a_demo(folder: Path) -> DemoReport:
    transferred = TransferReport(folder, 0.5, 1, 1, 2.0, "done", {}, PLAN)
    exported = ExportReport(folder / "m.pt", "torchscript", 1e-7, 100)
    scores, mask = measured(folder), folder / "a.nii.gz"
    return DemoReport(
        trained(folder), transferred, scores, mask, folder / "a.png", folder / PAGE, exported, 200.0
    )


def a_bench(_: Path) -> BenchReport:
    work = Work(TIMES, 20.0, 10**9, 0.5, None, "")
    reading = Reading("sample", 3, 60, ("T1",), (64, 64), 10, TIMES, 900.0)
    rates = (MatrixRate("float32", 512, 1e9),)
    config, cases = BenchConfig(width=8), Preprocessing(3, TIMES)
    return BenchReport("2026", MACHINE, config, False, 10**6, rates, work, work, reading, cases)


def a_doctor(_: Path) -> DoctorReport:
    finding = Finding("pool", 0.0, 0.0, 1e-5, 1e-5, Verdict.RIGHT)
    task = Workload(3, 1, 8, (64, 64), 4, 100, "BraTS's size")
    memory, pace = Memory(None, 1, 1, 1.5, 12), Pace(0.5, 4, 25, 12.5)
    return DoctorReport(CPU, (finding,), task, memory, pace, True, "cpu is fit to train")


# kind -> one of it, and what its sentence, its rows and its text must hold
EXAMPLES: dict[type[Shown], tuple[Callable[[Path], Shown], str, int, str]] = {
    InspectReport: (
        lambda f: InspectReport(
            "x", "brats", {"WT": (1,)},
            (InspectedCase("a", "p", "", {"T1": ("t1.nii",), "seg": ("s.nii",)}),
             InspectedCase("b", "p", "", problem="no T1")),
            {"c.nii": "alone"}, ("a notice",),
        ),
        "x: 2 cases in layout brats, 1 with a segmentation, 1 refused; 1 file not used", 2, "no T1",
    ),
    PreprocessReport: (
        lambda f: PreprocessReport(
            str(f), "lgg", {"WT": (1,)},
            (CaseReport("a", "written", labelled=True), CaseReport("b", "skipped", "broken")),
        ),
        "2 cases (1 written, 1 skipped), 1 labelled", 2, "broken",
    ),
    TrainReport: (trained, "best Dice 0.6250 at epoch 2 of 3, in 61 s", 2, "0.750"),
    TransferReport: (
        lambda f: TransferReport(f, None, 3, 3, 9.0, "done", {}, PLAN),
        "no validation of 3, in 9 s", 0, "3 kept, 0 adapted, 0 new",
    ),
    CompareReport: (
        lambda f: CompareReport(
            f, (),
            Comparison(
                (Cell("scratch", "5", 5, 1, Estimate(0.5, 0.4, 0.6, 9), (), 60.0),), (),
                {"5": "no difference was seen"},
            ),
        ),
        "5 patients: no difference was seen", 1, "scratch",
    ),
    ForecastReport: (
        lambda f: ForecastReport(
            f, (),
            Forecast(
                (Point(5.0, Estimate(0.5, 0.4, 0.6, 9), 2),), None, (), 5, None, 0.1, "too few"
            ),
        ),
        "too few", 1, "0.500",
    ),
    ImproveReport: (
        lambda f: ImproveReport(
            f, f / "old", f / "new", False, "too few to say", (Pair("p1", 0.5, 0.625),), f / PAGE
        ),
        "too few to say", 1, "0.625",
    ),
    mriseg.AnnotateReport: (
        lambda f: mriseg.AnnotateReport(f, 3, 2, 1, 4),
        "3 corrected, 2 accepted, 1 skipped, 4 open", 1, "4 open",
    ),
    PredictReport: (
        lambda f: PredictReport((a_mask(f, "a", 1.234), a_mask(f, "b", 0)), (("c", "no T1"),)),
        "2 masks, 1 skipped", 2, "1.23",
    ),
    EvaluateReport: (measured, "2 cases: mean Dice r 0.500", 2, "hd95 of r is undefined"),
    VerifyReport: (
        lambda f: VerifyReport("x", "run", 1, {"files": 3}, [Fault("run.json", "is gone")]),
        "x: run, format 1: 1 problem", 1, "is gone",
    ),
    DoctorReport: (a_doctor, "cpu is fit to train", 1, "12 slices"),
    BenchReport: (a_bench, "20.0 images/s in training", 2, "900 slices/s"),
    Int8Report: (
        lambda f: Int8Report(
            f / "m.int8.onnx", 4_000_000, 7_000_000, 3, 0.84, 0.85,
            {"int8": 0.03, "float": 0.04, "predict": 0.05},
        ),
        "4.0 MB (7.0 in float32); Dice 0.840 (model 0.850)", 1, "m.int8.onnx",
    ),
    ExportReport: (
        lambda f: ExportReport(f / "m.pt", "torchscript", 1e-7, 2_000_000),
        "2.0 MB; its probabilities differ from the model's by 1.0e-07", 1, "torchscript",
    ),
    ShareReport: (lambda f: ShareReport(f, 2_000_000, ("terms",)), "2.0 MB", 1, "fill in"),
    PushReport: (
        lambda f: PushReport("hf:A/glioma@abc", "https://hub/A/glioma", ("README.md",), 2_000_000),
        "2.0 MB", 1, "README.md",
    ),
    DemoReport: (a_demo, "done in 3.3 min; of the patient held out, 2 cases", 2, "exported"),
    RunsInfo: (lambda f: RunsInfo(f, (RunLine("r", dice=0.5),)), "1 run", 1, "0.500"),
    MachineInfo: (lambda f: MACHINE, "backend cpu, since it is", 2, "2.0 GiB"),
    CasePrediction: (lambda f: PredictReport((a_mask(f, "a", 1.0),), ()), "1 mask", 1, "T1"),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_a_report_shows_what_matters(tmp_path: Path, kind: type[Shown]) -> None:
    make, title, rows, text = EXAMPLES[kind]
    report = make(tmp_path)
    assert title in report.overview().title and title in repr(report)
    assert text in str(report)
    assert len(report.to_pandas()) == rows
    html = report._repr_html_()
    assert "<strong>" in html and len(html) < 5000
    assert report.pictures == ()


def test_every_public_report_and_what_is_open_can_be_shown() -> None:
    public = [getattr(api, name) for name in api.__all__]
    kinds = {each for each in public if isinstance(each, type)}
    to_show = {
        each
        for each in kinds
        if each.__name__.endswith(("Report", "Info")) or each in (mriseg.Store, mriseg.Run)
    } - {mriseg.CaseReport}
    assert len(to_show) >= 18
    assert all(issubclass(each, Shown) for each in to_show)
    # And each was looked at: those that are not made by hand are looked at elsewhere.
    elsewhere = {mriseg.Store, mriseg.Run, mriseg.StoreInfo, RunInfo, mriseg.CrossReport}
    assert to_show - elsewhere <= set(EXAMPLES)


def test_files_are_named_where_they_exist(tmp_path: Path) -> None:
    report = trained(tmp_path)
    assert report.page is None and report.pictures == ()
    (tmp_path / "images").mkdir()
    for name in ("curves.png", "images/image_0001.png", "images/image_0002.png", PAGE):
        (tmp_path / name).touch()
    assert report.page == tmp_path / PAGE
    assert report.pictures == (tmp_path / "curves.png", tmp_path / "images/image_0002.png")
    case = a_mask(tmp_path, "a", 1.0)
    assert case.picture is None
    (tmp_path / "a.png").touch()
    assert case.picture == tmp_path / "a.png"
    assert PredictReport((case,), ()).pictures == (tmp_path / "a.png",)


def test_a_run_and_a_shipped_model(trained: Run) -> None:
    info = run_info(trained)
    assert f"best Dice {info.dice:.4f}" in str(info) and info.pictures == (info.curves,)
    base = holds("base")
    assert isinstance(base, RunInfo)
    assert "0.834" in str(base) and "DU, FLAIR" in base._repr_html_()
