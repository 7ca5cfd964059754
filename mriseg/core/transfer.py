"""Carry a trained network over to other modalities and other classes: first plan, then adapt.

``plan`` reads shapes and names alone and says, tensor by tensor, what will happen; ``adapt`` does
it. The plan is the report, so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from mriseg.core.config import parse_freeze
from mriseg.core.ops import PURE
from mriseg.core.segnet import (
    DECODER,
    ENCODER,
    FIRST_CONV,
    HEAD,
    SegNetConfig,
    build,
    init_weights,
    stage_of,
)
from mriseg.errors import ConfigError

Action = Literal["kept", "adapted", "new"]

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")

# Where a modality is new, the weights of the one whose contrast is nearest start it.
_NEAREST = {"T1": ("T1CE",), "T1CE": ("T1",), "T2": ("FLAIR",), "FLAIR": ("T2",)}


@dataclass(frozen=True)
class Shape:
    """What a transfer needs to know of a network: its channels by name, and its width."""

    modalities: tuple[str, ...]
    regions: tuple[str, ...]
    width: int


@dataclass(frozen=True)
class TensorPlan:
    """What becomes of one tensor.

    Attributes:
        name: in the state dict.
        action: "kept" as it was, "adapted" from what it was, or made "new".
        how: in words.
        frozen: whether training leaves it as it is.
    """

    name: str
    action: Action
    how: str
    frozen: bool


@dataclass(frozen=True)
class TransferPlan:
    """What `adapt` will do.

    Attributes:
        source: the network that there is.
        target: the network wanted.
        inputs: for each target modality, (source modality, weight) pairs whose sum starts it.
        outputs: for each target region, the source's channel that it takes over, or None.
        frozen: stages that training leaves as they are.
        tensors: what becomes of each tensor, in the network's order.
    """

    source: Shape
    target: Shape
    inputs: tuple[tuple[tuple[int, float], ...], ...]
    outputs: tuple[int | None, ...]
    frozen: tuple[str, ...]
    tensors: tuple[TensorPlan, ...]

    def count(self, action: Action) -> int:
        """How many tensors are kept, adapted or new."""
        return sum(tensor.action == action for tensor in self.tensors)

    @property
    def carried(self) -> tuple[str, ...]:
        """The parameters whose values are the source's; a head with new channels is not."""
        return tuple(
            tensor.name
            for tensor in self.tensors
            if not tensor.name.endswith(_STATISTICS)
            and (tensor.action == "kept" or tensor.name == FIRST_CONV)
            and tensor.action != "new"
        )

    def to_json(self) -> dict[str, Any]:
        """This plan as JSON types."""
        return {
            "source": {k: _listed(v) for k, v in self.source.__dict__.items()},
            "target": {k: _listed(v) for k, v in self.target.__dict__.items()},
            "frozen": list(self.frozen),
            "counts": {a: self.count(a) for a in ("kept", "adapted", "new")},
            "tensors": [dict(tensor.__dict__) for tensor in self.tensors],
        }


def frozen_stages(policy: str) -> tuple[str, ...]:
    """The stages that a policy, as `mriseg.core.config.parse_freeze` reads it, never trains."""
    kind, blocks = parse_freeze(policy)
    return {
        "none": (),
        "encoder": ENCODER[:blocks],
        "all-but-head": (*ENCODER, *DECODER),
        "all-but-first": (*ENCODER[1:], *DECODER, HEAD),
    }[kind]


def plan(
    source: Shape,
    target: Shape,
    freeze: str,
    *,
    transfer_part: Literal["all", "encoder"] = "all",
    new_head: bool = False,
    adapt_norm: bool = False,
) -> TransferPlan:
    """Plan the transfer from ``source`` to ``target``.

    Input channels are matched by the modality's name. A new one starts from the modality with the
    nearest contrast (T1 and T1CE, T2 and FLAIR), else from the mean of all. Where no modality is
    shared, the sum over channels is kept, as when grey pictures are fed to a colour network, so
    that the first activations keep their scale. Regions of the same name keep their channel of
    the head; others get a new one.

    Args:
        source: the trained network.
        target: the network wanted.
        freeze: the policy, as `mriseg.core.config.parse_freeze` reads it.
        transfer_part: "encoder" makes the decoder and the head anew.
        new_head: make every channel of the head anew.
        adapt_norm: BatchNorm's statistics will be estimated anew on the target's slices, which
            `adapt` leaves to its caller.

    Raises:
        ConfigError: the widths differ, the policy is not known, or it freezes a head of which the
            source lacks a channel.
    """
    if source.width != target.width:
        raise ConfigError(
            f"the source network has width {source.width} and the target {target.width}; "
            f"a transfer keeps the width, so leave --width out"
        )
    inputs = tuple(_input(name, source.modalities, target.modalities) for name in target.modalities)
    anew = new_head or transfer_part == "encoder"
    outputs = tuple(
        source.regions.index(name) if name in source.regions and not anew else None
        for name in target.regions
    )
    frozen = frozen_stages(freeze)
    if HEAD in frozen and None in outputs:
        new = [r for r, channel in zip(target.regions, outputs, strict=True) if channel is None]
        raise ConfigError(
            f"freeze = {freeze!r} keeps the head as it is, but {', '.join(new)} would be new in it "
            f"(the source marks {', '.join(source.regions)}); choose a policy that trains the head"
        )
    config = SegNetConfig(
        in_channels=len(target.modalities), classes=len(target.regions), width=target.width
    )
    names = build(config, PURE).state_dict()
    tensors = []
    for name in names:
        action, how = _fate(name, source, target, inputs, outputs)
        if transfer_part == "encoder" and stage_of(name) in DECODER:
            action, how = "new", "of the decoder"
        if adapt_norm and name.endswith(_STATISTICS) and action != "new":
            action, how = "adapted", "estimated anew on the target's training slices"
        tensors.append(TensorPlan(name, action, how, stage_of(name) in frozen))
    return TransferPlan(source, target, inputs, outputs, frozen, tuple(tensors))


def adapt(
    plan: TransferPlan, state: Mapping[str, Tensor], generator: Generator, prior: float | None
) -> dict[str, Tensor]:
    """The target network's state, as ``plan`` says; ``state`` is left as it is.

    Args:
        plan: from `plan`.
        state: the source network's, on the CPU.
        generator: of the CPU, for what is new.
        prior: share of positive voxels, for a new head's bias (see `init_weights`).
    """
    config = SegNetConfig(
        in_channels=len(plan.target.modalities),
        classes=len(plan.target.regions),
        width=plan.target.width,
    )
    fresh = init_weights(build(config, PURE), generator, prior=prior).state_dict()
    adapted: dict[str, Tensor] = {}
    for tensor in plan.tensors:
        if tensor.action == "new":
            adapted[tensor.name] = fresh[tensor.name].clone()
        elif tensor.action == "kept" or tensor.name.endswith(_STATISTICS):
            adapted[tensor.name] = state[tensor.name].clone()
        elif tensor.name == FIRST_CONV:
            old = state[FIRST_CONV]
            channels = [sum(old[:, i] * weight for i, weight in parts) for parts in plan.inputs]
            adapted[tensor.name] = torch.stack([torch.as_tensor(c) for c in channels], dim=1)
        else:
            new = fresh[tensor.name].clone()
            for row, channel in enumerate(plan.outputs):
                if channel is not None:
                    new[row] = state[tensor.name][channel]
            adapted[tensor.name] = new
    return adapted


def unlearnt(plan: TransferPlan) -> TransferPlan:
    """The same shapes and the same freezing with every tensor made anew: a transfer's control.

    What a transfer from random weights reaches is not due to what the source has learnt.
    """
    tensors = tuple(
        # Statistics that are estimated on the target's slices are no knowledge of the source.
        tensor
        if tensor.action == "adapted" and tensor.name.endswith(_STATISTICS)
        else replace(tensor, action="new", how="as before any training")
        for tensor in plan.tensors
    )
    return replace(plan, outputs=(None,) * len(plan.outputs), tensors=tensors)


def _input(
    name: str, source: Sequence[str], target: Sequence[str]
) -> tuple[tuple[int, float], ...]:
    if name in source:
        return ((source.index(name), 1.0),)
    for near in _NEAREST.get(name, ()):
        # Only if it is not itself among the inputs: two equal columns would count it twice.
        if near in source and near not in target:
            return ((source.index(near), 1.0),)
    shared = any(other in source for other in target)
    weight = 1 / len(source) if shared else 1 / len(target)
    return tuple((i, weight) for i in range(len(source)))


def _fate(
    name: str,
    source: Shape,
    target: Shape,
    inputs: tuple[tuple[tuple[int, float], ...], ...],
    outputs: tuple[int | None, ...],
) -> tuple[Action, str]:
    if name == FIRST_CONV:
        if source.modalities == target.modalities:
            return "kept", "same modalities"
        told = [
            f"{wanted} from {_mixed(parts, source.modalities)}"
            for wanted, parts in zip(target.modalities, inputs, strict=True)
        ]
        return "adapted", "; ".join(told)
    if stage_of(name) != HEAD:
        return "kept", "same shape"
    if outputs == tuple(range(len(source.regions))):
        return "kept", "same regions"
    if all(channel is None for channel in outputs):
        return "new", f"for {', '.join(target.regions)}"
    kept = [r for r, channel in zip(target.regions, outputs, strict=True) if channel is not None]
    made = [r for r, channel in zip(target.regions, outputs, strict=True) if channel is None]
    told_new = f", new for {', '.join(made)}" if made else ""
    return "adapted", f"channels of {', '.join(kept)} kept{told_new}"


def _mixed(parts: tuple[tuple[int, float], ...], modalities: Sequence[str]) -> str:
    if len(parts) == 1:
        return modalities[parts[0][0]]
    return f"{'+'.join(modalities[i] for i, _ in parts)} times {parts[0][1]:.2g}"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
