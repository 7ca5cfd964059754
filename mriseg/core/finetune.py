"""How a transfer trains: which stages when, how fast each, and how near they stay to their start.

All of it is a function of the settings and of ``progress``, the share of the training that is
done (0 to 1, of the epochs or of the time). So a training that goes on from a checkpoint does what
it would have done, and nothing of it needs to be in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mriseg.core.config import TransferConfig
from mriseg.core.segnet import DECODER, HEAD, STAGES, SegNet, stage_of
from mriseg.core.steps import learning_rate
from mriseg.core.transfer import frozen_stages

HEAD_SHARE = 0.2
"""The share of a training that lp-ft gives to what is new alone."""

ALL_PEAK = 0.3
"""After it, what the highest learning rate is multiplied by: what is new fits the rest by then,
and large steps would distort them (Kumar et al. 2022, section 3)."""

UNFREEZING_SHARE = 0.5
"""The share of a training in which gradual unfreezes; all stages train in the rest."""


@dataclass(frozen=True)
class Phase:
    """A part of a training in which the same stages train.

    Attributes:
        until: the progress at which it ends.
        frozen: stages that stand still in it, in the order of `STAGES`.
        cycle: between which progress the learning rate rises and falls; of several phases that
            share one it is the same.
        peak: what the highest learning rate is multiplied by.
    """

    until: float
    frozen: tuple[str, ...]
    cycle: tuple[float, float] = (0.0, 1.0)
    peak: float = 1.0

    @property
    def trains(self) -> str:
        """What does not stand still, in words."""
        first, *more = _but(self.frozen)[::-1]
        return f"{first} to {more[-1]}" if more else f"{first} alone"


def phases(transfer: TransferConfig | None) -> tuple[Phase, ...]:
    """The phases of a training, the last of which ends at 1 and freezes what never trains.

    - direct: one.
    - lp-ft: what is new, then all that may train (Kumar et al. 2022, arXiv 2202.10054). A new head
      is random, and the gradient through it would spoil what the stages before it have learnt.
      New is the head, and where the encoder alone was carried over, the decoder.
    - gradual: one stage more at a time, from the head down (Howard and Ruder 2018, ULMFiT, arXiv
      1801.06146, section 3.3).

    Args:
        transfer: its settings; None: no transfer, everything trains.
    """
    if transfer is None:
        return (Phase(1.0, ()),)
    never = frozen_stages(transfer.freeze)
    if transfer.schedule == "lp-ft":
        new = (HEAD,) if transfer.transfer_part == "all" else (*DECODER, HEAD)
        return (
            Phase(HEAD_SHARE, _but(new), cycle=(0.0, HEAD_SHARE)),
            Phase(1.0, never, cycle=(HEAD_SHARE, 1.0), peak=ALL_PEAK),
        )
    if transfer.schedule == "gradual":
        downwards = _but(never)[::-1]
        count = len(downwards)
        return tuple(
            Phase(
                UNFREEZING_SHARE * trained / count if trained < count else 1.0,
                _but(downwards[:trained]),
            )
            for trained in range(1, count + 1)
        )
    return (Phase(1.0, never),)


def at(phases: Sequence[Phase], progress: float) -> Phase:
    """The phase at ``progress``; at the end and beyond, the last."""
    return next((phase for phase in phases if progress < phase.until), phases[-1])


def rate(phases: Sequence[Phase], progress: float, peak: float, warmup: float) -> float:
    """The head's learning rate at ``progress``.

    Args:
        phases: of the training.
        progress: 0 to 1.
        peak: the highest rate of the training.
        warmup: the share of a cycle over which the rate rises; see
            `mriseg.core.steps.learning_rate`.
    """
    phase = at(phases, progress)
    begin, end = phase.cycle
    return learning_rate((progress - begin) / (end - begin), peak * phase.peak, warmup)


def factor(stage: str, layer_decay: float) -> float:
    """What the learning rate of ``stage`` is multiplied by: ``layer_decay`` to its distance.

    The distance is counted in stages from the head, which has 1. What lies deep is general and
    should move least (Howard and Ruder 2018, arXiv 1801.06146, section 3.2).
    """
    return float(layer_decay ** (len(STAGES) - 1 - STAGES.index(stage)))


def parameter_groups(
    model: SegNet, *, weight_decay: float, layer_decay: float, anchored: Mapping[str, Tensor]
) -> list[dict[str, Any]]:
    """The optimiser's groups of all parameters that are not frozen now.

    Each has ``params``, ``weight_decay`` and ``factor``, which the learning rate is to be
    multiplied by. Biases and batch normalisation's parameters do not decay, and neither do
    ``anchored`` ones, which are drawn towards their start instead of nought.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name not in anchored
            key = (factor(stage_of(name), layer_decay), weight_decay if decays else 0.0)
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": params, "weight_decay": decay, "factor": times}
        for (times, decay), params in groups.items()
    ]


def draw_to_start(
    optimiser: torch.optim.Optimizer, model: SegNet, start: Mapping[str, Tensor], strength: float
) -> None:
    """Have every step of ``optimiser`` draw parameters towards where they started.

    L2-SP (Li et al. 2018, arXiv 1802.01483) is the penalty strength/2 * ||w - start||^2. As in
    AdamW's weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), it is taken out of the
    gradient, whose scaling by Adam would make it the same for all: after each step,
    w <- w - rate * strength * (w - start). What has no gradient, because it is frozen, is let be.

    Args:
        optimiser: of ``model``; its groups' learning rates count.
        model: on its device.
        start: parameter's name -> start value, for those to be drawn.
        strength: at least 0.
    """
    starts = {
        parameter: torch.empty_like(parameter, requires_grad=False).copy_(start[name])
        for name, parameter in model.named_parameters()
        if name in start
    }

    @torch.no_grad()
    def draw(*_: object) -> None:
        for group in optimiser.param_groups:
            weight = min(group["lr"] * strength, 1.0)
            for parameter in group["params"]:
                if parameter.grad is not None and parameter in starts:
                    parameter.lerp_(starts[parameter], weight)

    optimiser.register_step_post_hook(draw)


def described(transfer: TransferConfig) -> str:
    """The settings in a line, without those that are off."""
    parts = [f"freeze {transfer.freeze}", transfer.schedule]
    if transfer.transfer_part == "encoder":
        parts.insert(0, "a decoder of its own")
    if transfer.layer_decay < 1:
        parts.append(f"layer decay {transfer.layer_decay:g}")
    if transfer.l2_sp > 0:
        parts.append(f"L2-SP {transfer.l2_sp:g}")
    if transfer.adapt_norm:
        parts.append("BatchNorm adapted")
    return ", ".join(parts)


def _but(stages: Sequence[str]) -> tuple[str, ...]:
    return tuple(stage for stage in STAGES if stage not in stages)
