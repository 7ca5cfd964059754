"""mriseg from Python: each stage as a plain function; `import mriseg` offers these names.

A store or a run is given by its path or open, a store also by its URL (as text, such as
"s3://bucket/brats.zarr"), a run also by the name of a shipped model ("base") or of one on the
Hugging Face Hub ("hf:USER/NAME@REVISION"), and a backend by its
name or as `mriseg.select` gave it. Every function runs to its end and returns the recipe's report;
``on_event`` is handed each `mriseg.events.Event` on the way, from progress to notices; without one,
notebooks and terminals show them (`show_progress`). The command line is made of these functions and
the same drawing of the events.
"""

from __future__ import annotations

from mriseg.annotation.annotate import AnnotateReport
from mriseg.api._bids import bids
from mriseg.api._check import bench, demo, doctor, verify
from mriseg.api._correct import annotate, improve
from mriseg.api._cross_validate import cross_validate
from mriseg.api._hand_on import export, export_int8, push, share
from mriseg.api._look import info
from mriseg.api._make import compare, forecast, inspect, preprocess, resume, train, transfer
from mriseg.api._use import evaluate, evaluate_masks, predict
from mriseg.backends import Backend, select
from mriseg.console.progress import show_progress
from mriseg.core.bids_output import Sessions
from mriseg.core.config import AugmentConfig, TrainConfig, TransferConfig
from mriseg.core.parts import Part
from mriseg.engine.workloads import BenchConfig
from mriseg.errors import (
    BackendError,
    BusyError,
    CaseError,
    ConfigError,
    DamagedError,
    DivergedError,
    ExportError,
    IncompleteError,
    InputError,
    MrisegError,
    OutputError,
    RankError,
    RunError,
    StoreError,
    UnknownNameError,
    WorkerError,
)
from mriseg.events import Advanced, Began, Event, Measured, Notice, Skipped, Started, Wrote, finish
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.bench import BenchReport
from mriseg.recipes.compare import CompareOptions, CompareReport
from mriseg.recipes.cross_validate import CrossOptions, CrossReport
from mriseg.recipes.demo import DemoReport
from mriseg.recipes.doctor import DoctorReport
from mriseg.recipes.export import ExportReport
from mriseg.recipes.export_int8 import Int8Report
from mriseg.recipes.forecast import ForecastOptions, ForecastReport
from mriseg.recipes.improve import ImproveOptions, ImproveReport
from mriseg.recipes.info import StoredCase, StoreInfo
from mriseg.recipes.info_machine import MachineInfo
from mriseg.recipes.info_runs import RunInfo, RunsInfo
from mriseg.recipes.inspect import InspectedCase, InspectReport
from mriseg.recipes.predict import CasePrediction, PredictOptions, PredictReport
from mriseg.recipes.preprocess import CaseReport, PreprocessReport
from mriseg.recipes.push import PushReport
from mriseg.recipes.scores import EvaluateReport
from mriseg.recipes.share import ShareReport
from mriseg.recipes.train import TrainReport
from mriseg.recipes.transfer import TransferReport
from mriseg.recipes.verify import VerifyReport

# What `import mriseg` offers, and the one list of it.
__all__ = [
    "Advanced",
    "AnnotateReport",
    "AugmentConfig",
    "Backend",
    "BackendError",
    "Began",
    "BenchConfig",
    "BenchReport",
    "BusyError",
    "CaseError",
    "CasePrediction",
    "CaseReport",
    "CompareOptions",
    "CompareReport",
    "ConfigError",
    "CrossOptions",
    "CrossReport",
    "DamagedError",
    "DemoReport",
    "DivergedError",
    "DoctorReport",
    "EvaluateReport",
    "Event",
    "ExportError",
    "ExportReport",
    "ForecastOptions",
    "ForecastReport",
    "ImproveOptions",
    "ImproveReport",
    "IncompleteError",
    "InputError",
    "InspectReport",
    "InspectedCase",
    "Int8Report",
    "MachineInfo",
    "Measured",
    "MrisegError",
    "Notice",
    "OutputError",
    "Part",
    "PredictOptions",
    "PredictReport",
    "PreprocessReport",
    "PushReport",
    "RankError",
    "Run",
    "RunError",
    "RunInfo",
    "RunsInfo",
    "Sessions",
    "ShareReport",
    "Skipped",
    "Started",
    "Store",
    "StoreError",
    "StoreInfo",
    "StoredCase",
    "TrainConfig",
    "TrainReport",
    "TransferConfig",
    "TransferReport",
    "UnknownNameError",
    "VerifyReport",
    "WorkerError",
    "Wrote",
    "annotate",
    "bench",
    "bids",
    "compare",
    "cross_validate",
    "demo",
    "doctor",
    "evaluate",
    "evaluate_masks",
    "export",
    "export_int8",
    "finish",
    "forecast",
    "improve",
    "info",
    "inspect",
    "open_run",
    "open_store",
    "predict",
    "preprocess",
    "push",
    "resume",
    "select",
    "share",
    "show_progress",
    "train",
    "transfer",
    "verify",
]
