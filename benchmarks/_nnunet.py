"""nnU-Net 2 on cases of a store: its own preprocessing, plan, network, trainer and prediction.

Of it all, four things are ours: cases become files that nnU-Net reads, the batch size is given
(what it planned is reported), its poly schedule runs over minutes instead of 1000 epochs, and on a
CPU, where nnU-Net computes in float32 alone, the network runs under autocast to bfloat16 if a step
is faster so. Its folders are named by environment variables that it reads when it is imported: it
is imported in a process of its own, when these are set.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from statistics import fmean, median
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._trainings import Outcome, Task, ends, use_threads
from mriseg.backends.allocator import keeping_memory
from mriseg.cli.render import messages, say
from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions, region_masks
from mriseg.core.volume import crop, uncrop
from mriseg.io.store import Store, open_store

Driven = tuple[Callable[[float], float], Callable[[], tuple[CaseScores, ...]], dict[str, Any]]
"""A step, the scores now, and what it trains in; see `training`."""

DATASET = "Dataset001_store"
PLANS = "nnUNetPlans"
PRECISIONS = ("float32", "bfloat16")
# Steps of each precision before the training, of which the first does not count.
_TRIALS = 3
_TELL_EVERY = 60.0  # seconds


def prepare(task: Task) -> None:
    """Write the training cases as files, and let nnU-Net plan and preprocess them."""
    raw = task.folder / "raw" / DATASET
    _write_raw(open_store(task.store), task, raw)
    words = ["-c", "2d", "-d", "1", "-np", "1", "-npfp", "1"]
    entry = "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints"
    done = subprocess.run(
        [sys.executable, "-m", entry, *words],
        env={**os.environ, **_environment(task)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"nnU-Net's preprocessing failed:\n{done.stdout}\n{done.stderr}")
    # Its trainer would unpack them with processes of its own.
    for path in sorted(_preprocessed(task).glob(f"{PLANS}_2d/*.npz")):
        with np.load(path) as arrays:
            np.save(path.with_suffix(".npy"), arrays["data"])
            np.save(path.with_name(f"{path.stem}_seg.npy"), arrays["seg"])


def run(task: Task, batch_size: int) -> Outcome:
    """Train and measure; in a process of its own, after `prepare`.

    Args:
        task: what on, and how long.
        batch_size: slices a step, in place of what nnU-Net planned.
    """
    with _begun(task):
        return _run(task, batch_size)


@contextmanager
def training(task: Task, batch_size: int) -> Iterator[Driven]:
    """nnU-Net's training to be driven from outside, in a process of its own, after `prepare`.

    Yields:
        A step, given the share of the training that is done, which gives its loss; the scores of
        the cases held out with the weights as they are, without mirroring; and what it trains in.
    """
    with _begun(task):
        trainer, dataset, plan = _planned(task, batch_size)
        tried = _try_precisions(trainer)
        precision = min(tried, key=lambda name: tried[name])
        own = _step(trainer, _autocast(precision))
        trainer.network.train()

        def step(share: float) -> float:
            _set_rate(trainer, share)
            return own(next(trainer.dataloader_train))

        def scores() -> tuple[CaseScores, ...]:
            measured = _measure(trainer, task, dataset, mirroring=False)
            trainer.set_deep_supervision_enabled(True)
            trainer.network.train()
            return measured

        yield step, scores, {"precision": precision, "patch": plan["patch_size"]}
        trainer.on_train_end()


@contextmanager
def _begun(task: Task) -> Iterator[None]:
    """Everything in its place, threads and seeds set, and what nnU-Net prints in its log."""
    # No processes that augment: the others get no cores beyond their threads either.
    os.environ.update(_environment(task), nnUNet_n_proc_DA="0")
    use_threads(task.threads)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(task.seed)
    with (
        (task.folder / "log.txt").open("w", encoding="utf-8") as log,
        redirect_stdout(log),
        keeping_memory(),  # as mriseg's backend does: without it a step takes half as long again
    ):
        yield


def tidy(task: Task) -> None:
    """Take away the copies of the scans; the trained network stays."""
    for name in ("raw", "preprocessed"):
        shutil.rmtree(task.folder / name)


def _run(task: Task, batch_size: int) -> Outcome:
    trainer, dataset, plan = _planned(task, batch_size)
    tried = _try_precisions(trainer)
    precision = min(tried, key=lambda name: tried[name])
    began = time.process_time()
    seconds, losses, waited = _train(trainer, task, _autocast(precision))
    processor = time.process_time() - began
    trainer.on_train_end()
    scores = _measure(trainer, task, dataset)
    features = plan["architecture"]["arch_kwargs"]["features_per_stage"]
    return Outcome(
        scores=scores,
        seconds=seconds,
        processor=processor,
        steps=len(losses),
        images=len(losses) * batch_size,
        loss=ends(losses),
        details={
            "precision": precision,
            "seconds a step": tried,
            "patch": plan["patch_size"],
            "features": features,
            "batch size that nnU-Net planned": plan["planned"],
            "share of the time augmenting": waited / seconds,
        },
    )


def _planned(task: Task, batch_size: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The trainer at its beginning, its data set, and its plan, with the batch size ``planned``."""
    plans = json.loads((_preprocessed(task) / f"{PLANS}.json").read_text(encoding="utf-8"))
    dataset = json.loads((_preprocessed(task) / "dataset.json").read_text(encoding="utf-8"))
    plan = plans["configurations"]["2d"]
    planned, plan["batch_size"] = plan["batch_size"], batch_size
    trainer = _trainer(plans, dataset)
    trainer.on_train_start()
    return trainer, dataset, {**plan, "planned": planned}


def _set_rate(trainer: Any, share: float) -> None:
    """PolyLRScheduler's formula, of the share of the time that is spent instead of the epochs."""
    rate = trainer.initial_lr * (1 - share) ** 0.9
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate


def _trainer(plans: dict[str, Any], dataset: dict[str, Any]) -> Any:
    """nnU-Net's trainer, ready to train."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class Trainer(nnUNetTrainer):
        def configure_optimizers(self) -> tuple[torch.optim.Optimizer, None]:
            # As its own, whose scheduler PyTorch's no longer knows; the rate is set step by step.
            optimiser = torch.optim.SGD(
                self.network.parameters(),
                self.initial_lr,
                weight_decay=self.weight_decay,
                momentum=0.99,
                nesterov=True,
            )
            return optimiser, None

        def plot_network_architecture(self) -> None:
            """Needs a library that nnU-Net does not install."""

    trainer = Trainer(plans, "2d", "all", dataset, unpack_dataset=False, device=torch.device("cpu"))
    trainer.initialize()
    return trainer


def _try_precisions(trainer: Any) -> dict[str, float]:
    """Seconds of a training step in each precision; the weights are afterwards what they were."""
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    batch = next(trainer.dataloader_train)
    trainer.network.train()
    tried = {}
    for precision in PRECISIONS:
        step = _step(trainer, _autocast(precision))
        spent = []
        for _ in range(_TRIALS):
            began = time.perf_counter()
            step(batch)
            spent.append(time.perf_counter() - began)
        tried[precision] = median(spent[1:])
    trainer.network.load_state_dict(before)
    trainer.optimizer, _ = trainer.configure_optimizers()  # its momentum is of the trials
    return tried


def _autocast(precision: str) -> Callable[[], AbstractContextManager[object]]:
    if precision == "float32":
        return nullcontext
    return lambda: torch.autocast("cpu", dtype=getattr(torch, precision))


def _step(
    trainer: Any, autocast: Callable[[], AbstractContextManager[object]]
) -> Callable[[dict[str, Any]], float]:
    """nnU-Net's training step, its network under ``autocast`` and its loss in float32."""
    own = trainer._build_loss()

    def loss(outputs: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
        # As autocast does it on a GPU, where nnU-Net uses it.
        with torch.autocast("cpu", enabled=False):
            return own([output.float() for output in outputs], target)

    def step(batch: dict[str, Any]) -> float:
        with autocast():
            return float(trainer.train_step(batch)["loss"])

    trainer.loss = loss
    return step


def _train(
    trainer: Any, task: Task, autocast: Callable[[], AbstractContextManager[object]]
) -> tuple[float, list[float], float]:
    """Steps until the time is spent: the seconds, every step's loss, and the seconds for data."""
    tell = messages()
    step = _step(trainer, autocast)
    losses: list[float] = []
    waited, reported = 0.0, 0.0
    trainer.network.train()
    began = time.monotonic()
    while (spent := time.monotonic() - began) < task.seconds:
        _set_rate(trainer, spent / task.seconds)
        batch = next(trainer.dataloader_train)
        waited += time.monotonic() - began - spent
        losses.append(step(batch))
        if spent - reported > _TELL_EVERY:
            reported = spent
            mean = fmean(losses[-50:])
            say(tell, f"nnU-Net: {spent / 60:.0f} minutes, {len(losses)} steps, loss {mean:.4f}")
    return time.monotonic() - began, losses, waited


def _measure(
    trainer: Any, task: Task, dataset: dict[str, Any], *, mirroring: bool = True
) -> tuple[CaseScores, ...]:
    """The scores of the cases held out, predicted as nnU-Net does: in tiles, with mirroring."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(use_mirroring=mirroring, device=trainer.device, allow_tqdm=False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        dataset,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    store = open_store(task.store)
    scores: list[CaseScores] = []
    for name in task.held:
        case = store.read_case(name)
        assert case.labels is not None, "only labelled cases are held out"
        geometry = case.geometry
        marked, probabilities = predictor.predict_single_npy_array(
            _whole(case, task.modalities), {"spacing": list(geometry.spacing)}, None, None, True
        )
        if trainer.label_manager.has_regions:
            masks = probabilities > 0.5
        else:
            masks = np.stack([marked == value for value in range(1, len(task.regions) + 1)])
        scores += score_case(
            name,
            crop(masks, case.box).astype(np.uint8),
            region_masks(case.labels, task.regions),
            tuple(task.regions),
            geometry,
        )
    return tuple(scores)


def _write_raw(store: Store, task: Task, folder: Path) -> None:
    """The training cases as nnU-Net reads them, on their scans' whole grid in canonical axes."""
    images, truths = folder / "imagesTr", folder / "labelsTr"
    for subfolder in (images, truths):
        subfolder.mkdir(parents=True)
    names, values = labels(task.regions)
    for number, name in enumerate(task.train):
        case = store.read_case(name)
        assert case.labels is not None, "only labelled cases are trained on"
        spacing = case.geometry.spacing
        for channel, image in enumerate(_whole(case, task.modalities)):
            _write(images / f"case_{number:04}_{channel:04}.nii", image, spacing)
        truth = uncrop(values[case.labels], case.box, case.geometry.canonical_shape)
        _write(truths / f"case_{number:04}.nii", truth, spacing)
    described: dict[str, Any] = {
        "channel_names": {str(i): name for i, name in enumerate(task.modalities)},
        "labels": {"background": 0, **names},
        "numTraining": len(task.train),
        "file_ending": ".nii",
    }
    if any(isinstance(value, list) for value in names.values()):
        # How masks would become one label map; they are taken one by one instead.
        described["regions_class_order"] = list(range(1, len(names) + 1))
    (folder / "dataset.json").write_text(json.dumps(described), encoding="utf-8")


def labels(regions: Regions) -> tuple[dict[str, int | list[int]], NDArray[np.uint8]]:
    """Regions as nnU-Net's labels, and the label there of each value of the store's.

    Regions that do not overlap are a label each, for its softmax. Others stay regions of the values
    that they unite, for its region-based training; values must be numbered without gaps there.
    """
    united = [value for members in regions.values() for value in members]
    table = np.zeros(256, dtype=np.uint8)
    if len(set(united)) == len(united):
        for label, members in enumerate(regions.values(), start=1):
            table[list(members)] = label
        return {name: label for label, name in enumerate(regions, start=1)}, table
    for label, value in enumerate(sorted(set(united)), start=1):
        table[value] = label
    return {
        name: [int(table[value]) for value in members] for name, members in regions.items()
    }, table


def _whole(case: PreparedCase, modalities: tuple[str, ...]) -> NDArray[np.float32]:
    """The channels [m, z, y, x] of a whole scan, 0 outside the brain."""
    return uncrop(case.channels(modalities), case.box, case.geometry.canonical_shape)


def _write(path: Path, array: NDArray[Any], spacing: tuple[float, float, float]) -> None:
    """An array [z, y, x] as NIfTI, whose axes run x, y, z."""
    nib.save(nib.Nifti1Image(array.transpose(), np.diag([*spacing[::-1], 1.0])), path)


def _preprocessed(task: Task) -> Path:
    return task.folder / "preprocessed" / DATASET


def _environment(task: Task) -> dict[str, str]:
    folders = {f"nnUNet_{name}": task.folder / name for name in ("raw", "preprocessed", "results")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {name: str(folder.absolute()) for name, folder in folders.items()}
