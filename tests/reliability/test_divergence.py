"""A training that diverges says where and on what, and leaves what was good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from mriseg.backends import Backend, select
from mriseg.cli.app import app
from mriseg.core import intensity
from mriseg.core.config import TrainConfig
from mriseg.core.volume import SliceRef
from mriseg.errors import DivergedError, InputError
from mriseg.events import finish
from mriseg.io.runs import open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import resume
from mriseg.recipes.setup import plan_training
from mriseg.recipes.train import train
from mriseg.testing import phantoms

CONFIG = TrainConfig(
    width=8,
    epochs=3,
    batch_size=4,
    slices_per_epoch=40,
    warmup=0,
    modalities=("FLAIR",),
    regions=("WT",),
    checkpoint_every=1e-9,
)


def changed(**values: object) -> TrainConfig:
    return TrainConfig.model_validate({**CONFIG.model_dump(), **values})


@pytest.fixture(scope="module")
def cpu() -> Backend:
    return select("cpu", precision="fp32")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    phantoms.write_brats(tmp_path / "scans", 4, shape=(12, 40, 36))
    finish(preprocess(tmp_path / "scans", tmp_path / "out.zarr", regions="WT", workers=1))
    return open_store(tmp_path / "out.zarr")


def plant(store: Store, case: str, z: int, value: float, modality: str = "FLAIR") -> None:
    """Put ``value`` into a voxel of a case, past all that mriseg looks at when it writes."""
    data = store.cases()[case]
    array = zarr.open_array(store.location, path=f"cases/{case}/image", mode="r+")
    channel = data.modalities.index(modality)
    array[z, channel, array.shape[2] // 2, array.shape[3] // 2] = value


def positive_slices(store: Store, case: str) -> list[int]:
    counts = np.asarray(store.cases()[case].foreground)[:, 0]
    return np.flatnonzero(counts).tolist()


def whole(path: Path) -> None:
    """The last checkpoint can be loaded, and all of it is finite."""
    last = open_run(path).load("last")
    for tensors in (last.weights, last.average, last.optimiser):
        assert tensors or tensors is last.optimiser
        assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_broken_case_is_named_with_its_slices(
    store: Store, cpu: Backend, tmp_path: Path, value: float
) -> None:
    case = plan_training(store, CONFIG).split.train[1]
    first = {ref for plan in plan_training(store, CONFIG).plan(0) for ref in plan.refs}
    z = next(z for z in positive_slices(store, case) if SliceRef(case, z) in first)
    plant(store, case, z, value)
    with pytest.raises(DivergedError) as caught:
        finish(train(store, CONFIG, cpu, out=tmp_path / "run"))
    message = str(caught.value)
    assert f"case {case}, slice {z} holds voxels that are NaN or infinite" in message
    assert "epoch 1, step " in message and f"--exclude {case}" in message
    assert "learning-rate" not in message
    # The step that it names did hold that slice, and none before it.
    step = int(message.split("step ")[1].split(":")[0])
    plans = plan_training(store, CONFIG).plan(0)
    assert SliceRef(case, z) in plans[step - 1].refs
    assert all(SliceRef(case, z) not in plan.refs for plan in plans[: step - 1])
    whole(tmp_path / "run")


def test_a_run_resumes_once_its_broken_case_is_repaired(
    store: Store, cpu: Backend, tmp_path: Path
) -> None:
    case = plan_training(store, CONFIG).split.train[0]
    for z in positive_slices(store, case):
        plant(store, case, z, math.inf)
    with pytest.raises(DivergedError, match=f"case {case}, slice"):
        finish(train(store, CONFIG, cpu, out=tmp_path / "run"))
    finish(preprocess(tmp_path / "scans", tmp_path / "new.zarr", regions="WT", workers=1))
    report = finish(resume(open_run(tmp_path / "run"), cpu, open_store(tmp_path / "new.zarr")))
    assert report.epochs == 3 and report.best is not None
    whole(tmp_path / "run")


def test_a_broken_case_that_validates_is_named(store: Store, cpu: Backend, tmp_path: Path) -> None:
    (case,) = plan_training(store, CONFIG).split.validation
    z = positive_slices(store, case)[0]
    plant(store, case, z, math.nan)
    with pytest.raises(DivergedError) as caught:
        finish(train(store, CONFIG, cpu, out=tmp_path / "run"))
    message = str(caught.value)
    assert f"after epoch 1 the network's output for {case}" in message
    assert f"case {case}, slice {z} holds" in message
    whole(tmp_path / "run")


def test_a_rate_that_is_far_too_high(store: Store, cpu: Backend, tmp_path: Path) -> None:
    # No option gives it, since rates end at 1; a loss may still be scaled to the same effect.
    config = changed(loss="1e38*bce", clip=1e38, learning_rate=1, epochs=20)
    with pytest.raises(DivergedError) as caught:
        finish(train(store, config, cpu, out=tmp_path / "run"))
    message = str(caught.value)
    assert (
        "highest losses of the batch" in message and "lower --learning-rate (it was 1)" in message
    )
    assert "fp32" not in message  # it is
    known = plan_training(store, config).split.train
    assert any(f"case {case}, slice" in message for case in known)
    whole(tmp_path / "run")


def test_non_finite_weights_are_named(store: Store, cpu: Backend, tmp_path: Path) -> None:
    config = changed(weight_decay=1e42, slices_per_epoch=4, epochs=30)
    with pytest.raises(DivergedError, match=r"(weight|bias|loss).* at epoch \d+, step \d+"):
        finish(train(store, config, cpu, out=tmp_path / "run"))
    whole(tmp_path / "run")


def test_the_command_line_ends_with_code_7(store: Store, tmp_path: Path) -> None:
    case = plan_training(store, CONFIG).split.train[0]
    for z in positive_slices(store, case):
        plant(store, case, z, math.inf)
    line = (
        f"train {store.location} --out {tmp_path / 'run'} --width 8 --epochs 1 --batch-size 4 "
        f"--modalities FLAIR --backend cpu --precision fp32"
    )
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 7, result.output
    assert result.stderr.count("error: ") == 1 and "Traceback" not in result.stderr
    assert case in result.stderr


@pytest.mark.parametrize("greatest", [1.0, 3e38])
def test_no_scan_overflows_what_a_store_keeps(greatest: float) -> None:
    """The furthest that a value can lie from the mean of n is sqrt(n - 1) deviations."""
    image = np.zeros((4, 256, 256), dtype=np.float32)
    image[0, 0, 0] = greatest
    mask = np.ones(image.shape, dtype=bool)
    norm = intensity.statistics([image], mask) if greatest == 1 else None
    if norm is None:
        image[1] = -greatest
        with pytest.raises(InputError, match="damage"):
            intensity.statistics([image], mask)
        return
    scores: Sequence[float] = intensity.normalise([image], mask, norm, np.float16).ravel()
    assert np.isfinite(scores).all()
    assert np.max(scores) == pytest.approx(math.sqrt(image.size - 1), rel=1e-3)
