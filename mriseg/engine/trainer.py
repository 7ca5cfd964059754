"""A network under training: what a step changes, and what a checkpoint of it holds.

A `Trainer` knows no path, no clock and no event. It is given a batch and the progress of the
training (0 to 1), and all else (learning rate, which blocks train, resolution) follows from that
number, so a training that resumes does what it would have done.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core import batchnorm, finetune
from mriseg.core.averaging import average_in, averaged
from mriseg.core.config import TrainConfig
from mriseg.core.losses import build_loss, parse_loss
from mriseg.core.resolution import halved, low_res_share_of
from mriseg.core.segnet import SegNet, freeze_
from mriseg.core.steps import train_step
from mriseg.core.whole_batch import Whole, sharing
from mriseg.engine.compiling import Compiling
from mriseg.events import Partly, completed

Pair = tuple[Tensor, Tensor]
"""Slices [b, c, h, w] and their masks [b, r, h, w]."""


@dataclass(frozen=True)
class TrainerState:
    """All tensors of a training, on the CPU.

    Attributes:
        weights: the model's state.
        average: the running average of the weights.
        optimiser: "<parameter name>/<key>" -> tensor.
        scaler: of the gradient scaler, in float16; else empty.
    """

    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    scaler: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """A model, the average of its weights, the optimiser, the loss and the phases.

    Args:
        network: on the CPU, with the weights to start from; it is taken over.
        backend: where to compute.
        config: of the training.
        pos_weight: [r, 1, 1], of positive voxels in the binary cross-entropy.
        frame: height and width of a training slice.
        anchors: parameter name -> the value that L2-SP draws it to.

    Attributes:
        model: on the device.
        average: of its weights, on the device.
        compiling: gives the network in the form in which it is run.
        loss: (logits, target) -> scalar.
        rate: the learning rate of the last step.
        low_res: whether steps are taken at half the resolution now.
    """

    def __init__(
        self,
        network: SegNet,
        backend: Backend,
        config: TrainConfig,
        *,
        pos_weight: Tensor,
        frame: tuple[int, int],
        anchors: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.backend, self.config = backend, config
        self.phases = finetune.phases(config.transfer)
        self.phase = self.phases[-1]
        self.low_res, self._low_res_share = False, low_res_share_of(config, frame)
        self.average = backend.place_model(averaged(network))
        # The optimiser has all that will ever train; what a phase freezes gets no gradient, and
        # is left as it is.
        self.model = backend.place_model(freeze_(network, self.phase.frozen))
        self.optimiser = optimiser_of(self.model, config, anchors)
        self.loss = build_loss(parse_loss(config.loss), backend.place(pos_weight))
        self.scaler = backend.scaler()
        self.compiling = Compiling(self.model, backend)
        self._whole = _whole(backend, config.batch_size)
        self.steps, self.rate = 0, 0.0
        self._news: list[str] = []

    @property
    def is_final(self) -> bool:
        """Whether what trains, and at which resolution, stays as it is from here on."""
        return self.phase is self.phases[-1] and not self.low_res

    @property
    def never_trains(self) -> tuple[str, ...]:
        """What is frozen to the end."""
        return self.phases[-1].frozen

    def step(self, batch: Pair, progress: float) -> Tensor:
        """Train on a batch.

        Args:
            batch: on the device; where several processes train together, this one's share of it.
            progress: the share of the training that is done, 0 to 1.

        Returns:
            The loss of the whole batch, a scalar on the device; not finite where the training has
            diverged (see `mriseg.core.steps.train_step`).
        """
        self._enter(progress)
        if not self.model.training:
            self.model.train()
        batch = halved(*batch) if self.low_res else batch
        try:
            loss = self._descend(batch)
        except Exception as error:
            reason = self.compiling.failed(error)
            if reason is None:
                raise
            self._news.append(reason)
            loss = self._descend(batch)
        average_in(self.average, self.model, self.steps, self.config.ema_decay)
        self.steps += 1
        return loss

    def news(self) -> list[str]:
        """What changed since this was last asked, one sentence each."""
        news, self._news = self._news, []
        return news

    def state(self) -> TrainerState:
        """All that `load` needs to train on as if there had been no stop."""
        return TrainerState(
            weights=on_cpu(self.model),
            average=on_cpu(self.average),
            optimiser=optimiser_tensors(self.model, self.optimiser),
            scaler=self.scaler.state_dict() if self.scaler is not None else {},
        )

    def load(self, state: TrainerState, steps: int) -> None:
        """Go on from ``state``, which was taken after so many ``steps``.

        Raises:
            ValueError: it is of another network.
        """
        self._load(self.model, state.weights)
        if state.average:
            self._load(self.average, state.average)
        restore_optimiser(self.model, self.optimiser, state.optimiser)
        if self.scaler is not None and state.scaler:
            self.scaler.load_state_dict(state.scaler)
        self.steps = steps

    def network(self, images: Iterable[Tensor] | None) -> SegNet:
        """The average of the weights, as a run gives it: with batch-norm statistics of its own.

        Args:
            images: training batches [b, c, h, w] on the device, or this process's shares of them,
                which the statistics are taken from; None: the average of what they were.
        """
        return completed(self.averaging(images))

    def averaging(self, images: Iterable[Tensor] | None) -> Partly[SegNet]:
        """`network`, which yields the number of batches that are done."""
        network = copy.deepcopy(self.average)
        if images is None:
            return network
        # A block that never trains keeps the statistics that its weights were trained with.
        work = batchnorm.reestimating_(
            network, images, autocast=self.backend.autocast, skip=self.never_trains
        )
        with self._sharing(network):
            return (yield from work)

    def broken_weight(self) -> str | None:
        """The name of a weight that is NaN or infinite, if there is one.

        A step may corrupt the weights although its own loss, taken before it, was finite.
        """
        state = self.model.state_dict()
        if bool(torch.stack([tensor.isfinite().all() for tensor in state.values()]).all()):
            return None
        return next(name for name, tensor in state.items() if not tensor.isfinite().all())

    @torch.no_grad()
    def _load(self, model: SegNet, weights: Mapping[str, Tensor]) -> None:
        own = model.state_dict()
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in weights.items()}:
            raise ValueError("its tensors are not those of this network")
        for name, tensor in own.items():
            # Placed first: loading across devices is not to be trusted (pytorch#85230).
            tensor.copy_(self.backend.place(weights[name]))

    def _descend(self, batch: Pair) -> Tensor:
        whole = self._whole
        with self._sharing(self.model):
            return train_step(
                self.compiling.network,
                self.optimiser,
                whole.loss(self.loss) if whole else self.loss,
                batch,
                autocast=self.backend.autocast,
                clip=self.config.clip,
                scaler=self.scaler,
                complete=None if whole is None or whole.exact else self.backend.ranks.sum_,
            )

    def _sharing(self, network: SegNet) -> AbstractContextManager[None]:
        """Of the whole batch is what is of it, where others compute a part of it, or may."""
        return sharing(network, self._whole) if self._whole else nullcontext()

    def _enter(self, progress: float) -> None:
        """Set the learning rate, the resolution and the blocks that train at ``progress``."""
        config = self.config
        self.rate = finetune.rate(self.phases, progress, config.learning_rate, config.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * group["factor"]
        low_res_before, self.low_res = self.low_res, progress < self._low_res_share
        if self.low_res is not low_res_before:
            self.compiling.changed()
            size = "half their resolution at first" if self.low_res else "full resolution"
            self._news.append(f"at {progress:.0%} of the training: slices at {size}")
        before, self.phase = self.phase, finetune.at(self.phases, progress)
        if self.phase is not before:
            freeze_(self.model, self.phase.frozen)
            self.compiling.changed()
            self._news.append(f"at {progress:.0%} of the training: {self.phase.trains} trains")


def _whole(backend: Backend, batch_size: int) -> Whole | None:
    """How a batch is divided; None: nothing is to be done about it."""
    ranks = backend.ranks
    # What is to be repeated exactly is to be repeated by any number of processes.
    exact = backend.deterministic and backend.dtype == torch.float32
    if not ranks.several and not exact:
        return None
    return Whole(ranks.rank, ranks.world, batch_size, ranks.stacked, exact)


def optimiser_of(
    model: SegNet, config: TrainConfig, anchors: Mapping[str, Tensor] | None = None
) -> torch.optim.AdamW:
    """The optimiser of a training, over what is not frozen; `anchors` as in `Trainer`."""
    policy = config.transfer
    groups = finetune.parameter_groups(
        model,
        weight_decay=config.weight_decay,
        layer_decay=policy.layer_decay if policy else 1.0,
        anchored=anchors or {},
    )
    optimiser = adamw(groups, config.learning_rate)
    if policy and anchors:
        finetune.pull_to_start(optimiser, model, anchors, policy.l2_sp)
    return optimiser


def adamw(groups: Sequence[dict[str, Any]], rate: float) -> torch.optim.AdamW:
    """AdamW over parameter groups, in the form that is fast where the parameters are."""
    # On a CPU PyTorch's default passes over each weight and its moments a dozen times; this form
    # does so once. On other devices PyTorch chooses by itself.
    on_cpu = all(each.device.type == "cpu" for group in groups for each in group["params"])
    return torch.optim.AdamW(groups, lr=rate, fused=True if on_cpu else None)


def optimiser_tensors(model: SegNet, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by parameter name, on the CPU."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value.detach().to("cpu")
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(
    model: SegNet, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Give ``optimiser`` the state that `optimiser_tensors` took."""
    for name, parameter in model.named_parameters():
        prefix = f"{name}/"
        state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if state:
            # Steps are counted on the CPU; moments live with their parameter.
            optimiser.state[parameter] = {
                key: value if key == "step" else _beside(parameter, value)
                for key, value in state.items()
            }


def on_cpu(model: SegNet) -> dict[str, Tensor]:
    """A model's state, on the CPU."""
    return {name: tensor.detach().to("cpu") for name, tensor in model.state_dict().items()}


def _beside(parameter: Tensor, value: Tensor) -> Tensor:
    """``value`` on the parameter's device, in its type and memory format."""
    last = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    return value.to(parameter.device, parameter.dtype).contiguous(memory_format=layout)
