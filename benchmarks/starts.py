"""Starts that are made for transfers: one network trained on several tasks, or to fill in scans.

A start is a run that `mriseg transfer` begins from. Three ways to make one of several stores:

- ``tasks``: each store's regions have their own output channel over one encoder and decoder;
  batches of the stores take turns, and only a batch's own channels have a loss.
- ``hidden``: masked reconstruction. Squares of a slice are hidden, or a whole modality, and the
  network gives their intensities (He et al. 2022, arXiv 2111.06377, for a convolutional network
  as in Pathak et al. 2016, arXiv 1604.07379). Segmentations are not looked at.
- ``both``: steps of one and of the other take turns.

The first store's modalities are the channels; a store that lacks one gives 0 there, as a case
would. The run knows the first store's regions, and its cases alone: leave the target's out.

    python -m benchmarks.starts OUT --stores brats.zarr lgg.zarr --ways tasks hidden --minutes 20
    mriseg transfer hippocampus.zarr --from OUT/tasks --compare --methods full --sizes 5,10,20
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mriseg import api
from mriseg.backends import Backend, select
from mriseg.cli.render import drawing, messages, say
from mriseg.core import rng
from mriseg.core.averaging import average_in, averaged
from mriseg.core.config import TrainConfig
from mriseg.core.imbalance import positive_weight
from mriseg.core.losses import build_loss, parse_loss
from mriseg.core.resolution import halved
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_
from mriseg.core.steps import learning_rate, train_step
from mriseg.engine.trainer import Pair, on_cpu, optimiser_of
from mriseg.errors import ConfigError
from mriseg.io.runs import Checkpoint, open_run
from mriseg.io.store import open_store
from mriseg.recipes.batches import Batches
from mriseg.recipes.setup import Setup, plan_training

TASKS, HIDDEN, BOTH = "tasks", "hidden", "both"
# Sides of the hidden squares in pixels, and the share of a slice's squares that is hidden.
_SIDES, _SHARE = (8, 16, 32), 0.4
# Of the slices, how many have a whole modality hidden in place of squares.
_WHOLE = 0.25
# Steps between two lines of progress.
_SAY_EVERY = 100


@dataclass(frozen=True)
class Part:
    """One store of a start.

    Attributes:
        setup: the plan of its batches.
        places: which channel of the network each of its modalities is.
        outputs: which output channels are its regions.
    """

    setup: Setup
    places: tuple[int, ...]
    outputs: slice

    def batches(self, path: str, backend: Backend, channels: int) -> Iterator[Pair]:
        """Batches without end: slices [b, c, h, w] of all channels, masks [b, r, h, w]."""
        batches, first = Batches(open_store(path), self.setup, backend), 0
        for epoch in count():
            plans = self.setup.plan(epoch)
            for image, mask in batches(plans, "augment", first):
                whole = image.new_zeros((len(image), channels, *image.shape[2:]))
                whole[:, list(self.places)] = image
                yield whole, mask
            first += len(plans)


def parts_of(paths: Sequence[str], config: TrainConfig) -> list[Part]:
    """The stores as parts of one network, the first's modalities as its channels.

    Raises:
        ConfigError: a store has a modality that the first lacks.
    """
    parts: list[Part] = []
    channels: tuple[str, ...] = ()
    start = 0
    for path in paths:
        store = open_store(path)
        own = store.index().modalities
        channels = channels or own
        if strange := set(own) - set(channels):
            raise ConfigError(f"{path} has {', '.join(sorted(strange))}, and {paths[0]} does not")
        setup = plan_training(store, config.model_copy(update={"modalities": own}))
        outputs = slice(start, start + len(setup.task.regions))
        parts.append(Part(setup, tuple(map(channels.index, own)), outputs))
        start = outputs.stop
    return parts


def hide(image: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Hide parts of slices [b, c, h, w]; the slices with 0 there, and where that is as 0 and 1.

    Only the brain of modalities that are there counts as hidden. Squares are the same in all
    modalities, or their neighbours in another modality would give them away.
    """
    b, c, h, w = image.shape
    side = _SIDES[int(torch.randint(len(_SIDES), (1,), generator=generator))]
    coarse = torch.rand((b, 1, -(-h // side), -(-w // side)), generator=generator) < _SHARE
    squares = F.interpolate(coarse.float(), scale_factor=side)[..., :h, :w].expand(b, c, h, w)
    present = (image != 0).flatten(2).any(dim=2).float()
    one = F.one_hot(torch.multinomial(present + 1e-6, 1, generator=generator)[:, 0], c).float()
    # Of a scan with one modality nothing would be left.
    whole = (torch.rand(b, generator=generator) < _WHOLE) & (present.sum(dim=1) > 1)
    hidden = torch.where(whole[:, None, None, None], one[:, :, None, None], squares)
    brain = (image != 0).any(dim=1, keepdim=True)
    return image * (1 - hidden), hidden * present[:, :, None, None] * brain


def filling(logits: Tensor, target: Tensor) -> Tensor:
    """The mean error of hidden intensities; ``target``: intensities and where they are hidden."""
    image, hidden = target.chunk(2, dim=1)
    error = F.smooth_l1_loss(logits, image, reduction="none")
    return (error * hidden).sum() / hidden.sum().clamp_min(1)


class Start:
    """A network that learns several parts in turns.

    Args:
        parts: what it learns.
        way: `TASKS`, `HIDDEN` or `BOTH`.
        config: of the training.
        backend: where to compute.
    """

    def __init__(self, parts: Sequence[Part], way: str, config: TrainConfig, backend: Backend):
        self.parts, self.way, self.config, self.backend = parts, way, config, backend
        self.channels = 1 + max(place for part in parts for place in part.places)
        self.regions = parts[-1].outputs.stop
        assert config.width is not None, "the command line has one"
        shape = SegNetConfig(
            in_channels=self.channels, classes=self.regions + self.channels, width=config.width
        )
        network = build(shape, backend.ops)
        init_weights_(network, rng.generator(config.seed, "weights"))
        self.average = backend.place_model(averaged(network))
        self.model = backend.place_model(network).train()
        self.optimiser = optimiser_of(self.model, config)
        self.losses = [
            build_loss(parse_loss(config.loss), positive_weight(config, part.setup.positive_share))
            for part in parts
        ]

    def step(self, number: int, batch: Pair, progress: float) -> float:
        """Learn from a batch of the part whose turn it is; the loss."""
        for group in self.optimiser.param_groups:
            rate = learning_rate(progress, self.config.learning_rate, self.config.warmup)
            group["lr"] = rate * group["factor"]
        part = number % len(self.parts)
        # Whole turns of the parts, so that each is segmented and filled in equally often.
        fills = self.way == HIDDEN or (self.way == BOTH and number // len(self.parts) % 2 == 1)
        image, mask = batch
        if fills:
            shown, hidden = hide(image, rng.generator(self.config.seed, "hidden", number))
            outputs, batch = slice(self.regions, None), (shown, torch.cat([image, hidden], dim=1))
            loss = filling
        else:
            outputs, loss = self.parts[part].outputs, self.losses[part]
        value = train_step(
            self.model,
            self.optimiser,
            lambda logits, target: loss(logits[:, outputs], target),
            batch,
            autocast=self.backend.autocast,
            clip=self.config.clip,
        )
        average_in(self.average, self.model, number, self.config.ema_decay)
        return float(value)

    def weights(self) -> dict[str, Tensor]:
        """The averaged network's, with the first part's output channels alone."""
        weights = on_cpu(self.average)
        first = self.parts[0].outputs
        return {k: v[first] if k.startswith("head.") else v for k, v in weights.items()}


def fit(start: Start, paths: Sequence[str], seconds: float) -> SegNet:
    """Train for so many seconds, a share of them at half the resolution where slices are large."""
    turns = [
        part.batches(path, start.backend, start.channels)
        for part, path in zip(start.parts, paths, strict=True)
    ]
    began, losses = time.monotonic(), list[float]()
    for number in count():
        progress = (time.monotonic() - began) / seconds
        if progress >= 1:
            return start.average
        image, mask = next(turns[number % len(turns)])
        if progress < 0.4 and min(image.shape[2:]) >= 128:
            image, mask = halved(image, mask)
        losses.append(start.step(number, (image, mask), progress))
        if len(losses) == _SAY_EVERY:
            mean = sum(losses) / len(losses)
            say(messages(), f"{start.way}: step {number + 1}, loss {mean:.3f}, {progress:.0%}")
            losses.clear()
    raise AssertionError("count() has no end")


def main() -> None:
    """Make the starts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--stores", nargs="+", required=True, help="the first has all modalities")
    parser.add_argument("--ways", nargs="+", choices=(TASKS, HIDDEN, BOTH), default=[TASKS])
    parser.add_argument("--exclude", nargs="*", default=[], help="cases that train nothing")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    config = TrainConfig(width=args.width, validation=0, seed=args.seed, size=(224, 192))
    config = config.model_copy(update={"exclude": tuple(args.exclude)})
    parts, backend = parts_of(args.stores, config), select("cpu")
    for way in args.ways:
        start = Start(parts, way, config, backend)
        with backend.running():
            fit(start, args.stores, args.minutes * 60)
        # A run of one step, so that all that a run holds besides its weights is made by mriseg.
        short = {"epochs": 1, "slices_per_epoch": config.batch_size, "norm_batches": 0}
        with drawing() as draw:
            report = api.train(
                args.stores[0],
                config.model_copy(update={**short, "modalities": parts[0].setup.task.modalities}),
                backend=backend,
                out=args.out / way,
                on_event=draw,
            )
        run = open_run(report.run)
        for name in ("best", "last"):
            run.save(name, Checkpoint(start.weights(), {}, run.load(name).state))
        say(messages(), f"{run.path}: start from it with mriseg transfer --from {run.path}")


if __name__ == "__main__":
    sys.exit(main())
