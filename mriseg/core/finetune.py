"""How a transfer trains: which blocks train when, how fast, and how close they stay to their start.

All of it is a function of the settings and of ``progress``, the completed share of the training
(0 to 1, of the epochs or of the time). A resumed training therefore continues exactly as it would
have, and the checkpoint needs to store none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mriseg.core.config import TransferConfig, parse_freeze
from mriseg.core.segnet import BLOCKS, DECODER, ENCODER, HEAD, SegNet, block_of
from mriseg.core.steps import learning_rate
from mriseg.core.transfer import frozen_blocks
from mriseg.core.wording import counted

HEAD_SHARE = 0.2
"""The share of a training in which lp-ft trains only what is new."""

ALL_PEAK = 0.3
"""After it, the factor of the peak learning rate: by then what is new fits the other blocks, and
large steps would distort them (Kumar et al. 2022, section 3)."""

UNFREEZING_SHARE = 0.5
"""The share of a training over which ``gradual`` unfreezes; all blocks train in the rest."""


@dataclass(frozen=True)
class Phase:
    """A part of a training in which the same blocks train.

    Attributes:
        until: the progress at which it ends.
        frozen: blocks that are frozen in it, in the order of `BLOCKS`.
        cycle: the progress at which the learning rate's cycle begins and ends; phases may share a
            cycle.
        peak: the factor of the peak learning rate.
    """

    until: float
    frozen: tuple[str, ...]
    cycle: tuple[float, float] = (0.0, 1.0)
    peak: float = 1.0

    @property
    def trains(self) -> str:
        """The blocks that train, in words."""
        first, *others = _all_but(self.frozen)[::-1]
        return f"{first} to {others[-1]}" if others else f"{first} alone"


def phases(transfer: TransferConfig | None) -> tuple[Phase, ...]:
    """The phases of a training; the last one ends at 1 and freezes only what never trains.

    - direct: a single phase.
    - lp-ft: first only what is new, then everything that may train (Kumar et al. 2022, arXiv
      2202.10054). A new head is random, and the gradient through it would destroy what the blocks
      before it have learnt. The head is new, and so is the decoder where only the encoder was
      transferred.
    - gradual: one more block at a time, from the head down (Howard and Ruder 2018, ULMFiT, arXiv
      1801.06146, section 3.3).

    Args:
        transfer: settings of the transfer; None: not a transfer, everything trains.
    """
    if transfer is None:
        return (Phase(1.0, ()),)
    never = frozen_blocks(transfer.freeze)
    if transfer.schedule == "lp-ft":
        new = (HEAD,) if transfer.transfer_part == "all" else (*DECODER, HEAD)
        return (
            Phase(HEAD_SHARE, _all_but(new), cycle=(0.0, HEAD_SHARE)),
            Phase(1.0, never, cycle=(HEAD_SHARE, 1.0), peak=ALL_PEAK),
        )
    if transfer.schedule == "gradual":
        downwards = _all_but(never)[::-1]
        count = len(downwards)
        return tuple(
            Phase(
                UNFREEZING_SHARE * trained / count if trained < count else 1.0,
                _all_but(downwards[:trained]),
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
        peak: peak learning rate of the training.
        warmup: the share of a cycle over which the rate rises; see
            `mriseg.core.steps.learning_rate`.
    """
    phase = at(phases, progress)
    begin, end = phase.cycle
    return learning_rate((progress - begin) / (end - begin), peak * phase.peak, warmup)


def factor(block: str, layer_decay: float) -> float:
    """The factor of the learning rate of ``block``: ``layer_decay`` to the power of its distance.

    The distance is the number of blocks from the head, whose factor is 1. The first blocks hold the
    most general features and should change least (Howard and Ruder 2018, arXiv 1801.06146, section
    3.2).
    """
    return float(layer_decay ** (len(BLOCKS) - 1 - BLOCKS.index(block)))


def parameter_groups(
    model: SegNet, *, weight_decay: float, layer_decay: float, anchored: Mapping[str, Tensor]
) -> list[dict[str, Any]]:
    """The optimiser's parameter groups; currently frozen parameters are in none.

    Each has ``params``, ``weight_decay`` and ``factor``, by which the learning rate is to be
    multiplied. Biases and the parameters of batch normalisation have no weight decay, and neither
    have the ``anchored`` ones, which are pulled towards their starting values instead of zero.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name not in anchored
            key = (factor(block_of(name), layer_decay), weight_decay if decays else 0.0)
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": params, "weight_decay": decay, "factor": rate_factor}
        for (rate_factor, decay), params in groups.items()
    ]


def pull_to_start(
    optimiser: torch.optim.Optimizer, model: SegNet, start: Mapping[str, Tensor], strength: float
) -> None:
    """Make every step of ``optimiser`` pull parameters towards their starting values.

    L2-SP (Li et al. 2018, arXiv 1802.01483) is the penalty strength/2 * ||w - start||^2. As in
    AdamW's weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), it is decoupled from the
    gradient, because Adam's scaling would make it equal for all parameters: after each step,
    w <- w - rate * strength * (w - start). Parameters without a gradient (frozen) are left as is.

    Args:
        optimiser: of ``model``; the learning rates of its groups are used.
        model: on its device.
        start: parameter name -> starting value, for the parameters to be pulled.
        strength: at least 0; 0 has no effect.
    """
    starts = {
        parameter: torch.empty_like(parameter, requires_grad=False).copy_(start[name])
        for name, parameter in model.named_parameters()
        if name in start
    }

    @torch.no_grad()
    def pull(*_: object) -> None:
        for group in optimiser.param_groups:
            weight = min(group["lr"] * strength, 1.0)
            for parameter in group["params"]:
                if parameter.grad is not None and parameter in starts:
                    parameter.lerp_(starts[parameter], weight)

    optimiser.register_step_post_hook(pull)


def described(transfer: TransferConfig) -> str:
    """What trains and how, in one line, without what is off."""
    kind, count = parse_freeze(transfer.freeze)
    trains = {
        "none": "trains all layers",
        "encoder": "trains all but the encoder",
        "all-but-head": "trains the head alone",
        "all-but-first": "trains the first block alone",
    }[kind]
    if kind == "encoder" and count < len(ENCODER):
        trains = f"trains all but the encoder's first {counted(count, 'block')}"
    schedule = {
        "direct": [],
        "lp-ft": ["new layers first (LP-FT)"],
        "gradual": ["from the head down (gradual unfreezing)"],
    }[transfer.schedule]
    parts = [trains, *schedule]
    if transfer.transfer_part == "encoder":
        parts.insert(0, "new decoder")
    if transfer.layer_decay < 1:
        parts.append(f"layer decay {transfer.layer_decay:g}")
    if transfer.l2_sp > 0:
        parts.append(f"L2-SP {transfer.l2_sp:g}")
    if transfer.adapt_norm:
        parts.append("batch-norm statistics adapted")
    return ", ".join(parts)


def _all_but(blocks: Sequence[str]) -> tuple[str, ...]:
    return tuple(block for block in BLOCKS if block not in blocks)
