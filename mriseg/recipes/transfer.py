"""Re-train a run's network for another task."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core import batchnorm, finetune, rng
from mriseg.core.config import TrainConfig, TransferConfig, parse
from mriseg.core.segnet import build
from mriseg.core.transfer import Shape, TransferPlan, adapt, plan, unlearnt
from mriseg.errors import ConfigError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.preparations import differences
from mriseg.recipes.setup import Setup, plan_training
from mriseg.recipes.train import Start, TrainReport, train

# Batches that batch-norm statistics are estimated on. Their voxels are many more than
# that needs; the batches are for the patients and slices that they come from.
_NORM_BATCHES = 20


@dataclass(frozen=True, repr=False)
class TransferReport(TrainReport):
    """What a transfer gave.

    Attributes:
        plan: what was kept, adapted and re-initialised; also in the run's ``transfer.json``.
    """

    plan: TransferPlan

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.transferred(self)


def transfer(
    store: Store,
    source: Run,
    config: TrainConfig,
    backend: Backend,
    *,
    freeze: str | None = None,
    new_head: bool = False,
    weights: Literal["source", "random"] = "source",
    out: Path | None = None,
) -> Recipe[TransferReport]:
    """Train on ``store`` starting from the network of ``source``.

    Args:
        store: of the new task.
        source: the run to start from; its best weights are taken.
        config: of the training, ``config.transfer`` of how it proceeds (None: the defaults); its
            width must be the source's. Unless it names modalities, the network reads those of the
            source, as far as the store has them.
        backend: where to compute.
        freeze: what never trains, see `mriseg.core.config.parse_freeze`; takes precedence over
            ``config.transfer``.
        new_head: re-initialise the head even where regions have the same name.
        weights: "random" is the control of a comparison: the same shapes, the same blocks frozen
            and the same draws, but nothing learnt. What such a transfer reaches, one from a
            trained network has to exceed.
        out: the run folder; None: a new one under ``runs/``.

    Returns:
        What the training gave, and what was kept, adapted and re-initialised.

    Raises:
        ConfigError: the store, the configuration and the source do not fit.
    """
    began = time.monotonic()
    if weights not in ("source", "random"):
        raise ConfigError(f"weights = {weights!r}: expected source or random")
    config = _with_policy(config, freeze)
    policy = config.transfer or TransferConfig()
    setup = plan_training(store, config, source=source.manifest.modalities)
    carry = plan(
        shape_of(source),
        Shape(setup.task.modalities, tuple(setup.task.regions), config.width),
        policy.freeze,
        transfer_part=policy.transfer_part,
        new_head=new_head,
        adapt_norm=policy.adapt_norm,
    )
    if weights == "random":
        carry = unlearnt(carry)
        yield Notice(f"a control: the weights are random, only their shape is of {source.path}")
    checkpoint = source.load_chosen()
    generator = rng.generator(config.seed, "transfer")
    state = adapt(carry, checkpoint.weights, generator, setup.prior)
    for text in _described(carry, policy, source, store):
        yield Notice(text)
    validating = setup.index.only(setup.split.validation).cases
    known = source.manifest.seen_among(validating) if weights == "source" else {}
    if known:
        yield Notice(
            f"{source.path} was trained on {', '.join(known)}, which validate here: "
            f"their Dice says nothing about other patients"
        )
    if policy.adapt_norm:
        state = _with_statistics_of(store, setup, backend, state)
    settings = policy.model_dump(mode="json")
    start = Start(
        setup=setup,
        weights=state,
        carried=carry.carried,
        seen=source.manifest.seen if weights == "source" else (),
        parent={
            "run": str(source.path),
            "weights": weights,
            "frozen": list(carry.frozen),
            **settings,
        },
        report={"policy": settings, **carry.to_json()},
        seconds=time.monotonic() - began,
    )
    report = yield from train(store, config, backend, out=out, start=start)
    yield Wrote(report.run / "transfer.json", "report of what was kept, adapted and new")
    return TransferReport(**vars(report), plan=carry)


def _with_policy(config: TrainConfig, freeze: str | None) -> TrainConfig:
    """``config`` with all that a transfer needs to know."""
    if config.encoder_weights is not None:
        raise ConfigError("a transfer takes its weights from a run: leave --encoder-weights out")
    policy = config.transfer or TransferConfig()
    if freeze is not None:
        policy = parse(TransferConfig, {**policy.model_dump(), "freeze": freeze})
    return config.model_copy(update={"transfer": policy})


def _described(
    carry: TransferPlan, policy: TransferConfig, source: Run, store: Store
) -> Iterator[str]:
    """What a user should know of a plan, a sentence at a time."""
    yield (
        f"from {source.path}: {carry.count('kept')} tensors kept, "
        f"{carry.count('adapted')} adapted, {carry.count('new')} new; "
        f"frozen: {', '.join(carry.frozen) or 'nothing'}"
    )
    for action, how in dict.fromkeys((t.action, t.how) for t in carry.tensors):
        if action != "kept":
            names = [t.name for t in carry.tensors if (t.action, t.how) == (action, how)]
            which = ", ".join(names) if len(names) <= 2 else f"{len(names)} tensors"
            yield f"{which} {action}: {how}"
    yield f"the training: {finetune.described(policy)}"
    yield from differences(store.spec.preparation, source.manifest.preparation)


def shape_of(run: Run) -> Shape:
    """What a transfer needs to know of a run's network."""
    manifest = run.manifest
    return Shape(manifest.modalities, tuple(manifest.regions), int(manifest.model["width"]))


def _with_statistics_of(
    store: Store, setup: Setup, backend: Backend, state: dict[str, Tensor]
) -> dict[str, Tensor]:
    """``state`` with BatchNorm's statistics of the training slices, as the first epoch draws them.

    They are not augmented, since prediction will not meet augmented ones.
    """
    plans, task = setup.plan(epoch=0), setup.task

    def images() -> Iterator[Tensor]:
        for batch in plans[:_NORM_BATCHES]:
            image = store.read(batch.refs, task).image
            yield backend.place(torch.from_numpy(image))

    model = build(task.network(setup.config.width), backend.ops)
    model.load_state_dict(state)
    with backend.running():
        placed = backend.place_model(model)
        batchnorm.reestimate_statistics_(placed, images(), autocast=backend.autocast)
    return {name: tensor.detach().to("cpu") for name, tensor in placed.state_dict().items()}
