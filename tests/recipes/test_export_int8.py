"""A model in integers is kept only if it segments as well on patients that it has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from mriseg.backends import select
from mriseg.core.config import TrainConfig
from mriseg.core.identity import Identity
from mriseg.errors import ExportError, InputError
from mriseg.events import Event, Wrote, finish
from mriseg.io.exporters.onnx import EXPORTER
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes import export_int8 as module
from mriseg.recipes.export_int8 import export_int8
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import train
from mriseg.testing import phantoms

for _name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_name, reason=f"{_name} is not installed (mriseg[onnx])")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Store]:
    folder = tmp_path_factory.mktemp("int8")
    phantoms.write_brats(folder / "scans", 4, shape=(6, 40, 36), modalities=("flair", "t1"))
    finish(preprocess(folder / "scans", folder / "out.zarr", workers=1))
    store, cpu = open_store(folder / "out.zarr"), select("cpu", precision="fp32")
    config = TrainConfig(width=8, epochs=1, batch_size=4, validation=0.5)
    finish(train(store, config, cpu, out=folder / "run"))
    return open_run(folder / "run"), store


@pytest.mark.slow
def test_it_is_written_and_measured(
    trained: tuple[Run, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = trained
    # A network of one epoch is at its thresholds nearly everywhere.
    monkeypatch.setattr(module, "MOST_LOST", 0.2)
    events: list[Event] = []
    report = finish(export_int8(run, store, tmp_path / "model.int8.onnx"), events.append)
    assert report.cases == 2 and report.dice >= report.model_dice - 0.2
    assert set(report.seconds) == {"int8", "float", "predict"}
    assert all(0 < seconds < 60 for seconds in report.seconds.values())
    assert report.size_bytes < report.float_bytes
    assert [event.path for event in events if isinstance(event, Wrote)] == [report.path]
    metadata = EXPORTER.inspect(report.path).metadata
    assert metadata["precision"].startswith("int8")
    assert [path.name for path in tmp_path.iterdir()] == ["model.int8.onnx"]


@pytest.mark.slow
def test_one_that_is_worse_leaves_nothing(
    trained: tuple[Run, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = trained
    quantise = module.quantise

    def badly(source: Path, slices: Iterator[Tensor], metadata: Any, path: Path) -> None:
        # Scales of slices in which nothing is: every value of a brain is beyond them.
        quantise(source, (x * 1e-6 for x in slices), metadata, path)

    monkeypatch.setattr(module, "quantise", badly)
    # Whatever it segments: as bad as that is worse than this.
    monkeypatch.setattr(module, "MOST_LOST", -2.0)
    with pytest.raises(ExportError, match=r"Dice .* on 2 patients of whom it saw nothing"):
        finish(export_int8(run, store, tmp_path / "model.int8.onnx"))
    assert not list(tmp_path.iterdir())


def test_patients_that_the_run_never_saw_serve(trained: tuple[Run, Store]) -> None:
    run, store = trained
    held, others = module._cases(run.manifest, store)
    assert sorted(held) == sorted(run.manifest.validation)
    assert sorted(others) == sorted(run.manifest.train)
    # A run without validation patients, and a store of which it saw one case.
    seen = tuple(each for each in run.manifest.seen if each.name == run.manifest.train[0])
    stranger = replace(run.manifest, validation=(), seen=seen)
    held, others = module._cases(stranger, store)
    assert others == [run.manifest.train[0]] and len(held) == 3
    # A store of strangers alone: none is measured on and asked for scales.
    held, others = module._cases(replace(stranger, seen=()), store)
    assert len(held) == len(others) == 2 and not set(held) & set(others)


def test_a_store_that_the_run_saw_is_refused(trained: tuple[Run, Store], tmp_path: Path) -> None:
    run, store = trained
    seen = tuple(Identity.of(case) for case in store.index().cases)
    other = replace(run, manifest=replace(run.manifest, validation=(), seen=seen))
    with pytest.raises(InputError, match=r"no labelled case that the model was not trained on"):
        finish(export_int8(other, store, tmp_path / "x.onnx"))
    assert not list(tmp_path.iterdir())
