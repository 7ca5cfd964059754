"""Transfer a trained network to other modalities and other regions: first plan, then adapt.

``plan`` needs only shapes and names, and states for each tensor what will happen; ``adapt`` does
it. The plan is also the report, so the two cannot disagree.
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
    block_of,
    build,
    init_weights_,
)
from mriseg.errors import ConfigError

Action = Literal["kept", "adapted", "new"]

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")

# A new modality starts from the weights of the one with the most similar contrast.
_NEAREST = {"T1": ("T1CE",), "T1CE": ("T1",), "T2": ("FLAIR",), "FLAIR": ("T2",)}


@dataclass(frozen=True)
class Shape:
    """What a transfer needs to know about a network: its channels by name, and its width."""

    modalities: tuple[str, ...]
    regions: tuple[str, ...]
    width: int


@dataclass(frozen=True)
class TensorPlan:
    """What happens to one tensor.

    Attributes:
        name: in the state dict.
        action: "kept" as in the source, "adapted" from the source, or "new".
        how: the same in words.
        frozen: whether training never changes it.
    """

    name: str
    action: Action
    how: str
    frozen: bool


@dataclass(frozen=True)
class TransferPlan:
    """What `adapt` will do.

    Attributes:
        source: the trained network.
        target: the network to be trained.
        inputs: for each target modality, (source modality, weight) pairs; their weighted sum is its
            starting value.
        outputs: for each target region, the source's channel that it takes over, or None.
        frozen: blocks that training never changes.
        tensors: what happens to each tensor, in the network's order.
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
        """The parameters whose values come from the source; a head with new channels does not."""
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


def frozen_blocks(policy: str) -> tuple[str, ...]:
    """The blocks that a policy, as `mriseg.core.config.parse_freeze` reads it, never trains."""
    kind, count = parse_freeze(policy)
    return {
        "none": (),
        "encoder": ENCODER[:count],
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
    most similar contrast (T1 and T1CE, T2 and FLAIR), else from the mean of all. Where no modality
    is shared, the sum over channels is kept, as when grey images are fed to a colour network, so
    that the first activations keep their scale. Regions of the same name keep their channel of
    the head; others get a new one.

    Args:
        source: the trained network.
        target: the network to be trained.
        freeze: the policy, as `mriseg.core.config.parse_freeze` reads it.
        transfer_part: "encoder" re-initialises the decoder and the head.
        new_head: re-initialise every channel of the head.
        adapt_norm: plan to re-estimate BatchNorm statistics on the target's slices, which `adapt`
            leaves to its caller.

    Raises:
        ConfigError: the widths differ, the policy is unknown, or it freezes a head that needs a
            channel which the source lacks.
    """
    if source.width != target.width:
        raise ConfigError(
            f"the source network has width {source.width} and the target {target.width}; "
            f"a transfer keeps the width, so leave --width out"
        )
    inputs = tuple(_input(name, source.modalities, target.modalities) for name in target.modalities)
    reset_head = new_head or transfer_part == "encoder"
    outputs = tuple(
        source.regions.index(name) if name in source.regions and not reset_head else None
        for name in target.regions
    )
    frozen = frozen_blocks(freeze)
    if HEAD in frozen and None in outputs:
        missing = [r for r, channel in zip(target.regions, outputs, strict=True) if channel is None]
        raise ConfigError(
            f"freeze = {freeze!r} keeps the head as it is, but {', '.join(missing)} would be new "
            f"in it (the source segments {', '.join(source.regions)}); choose a policy that trains "
            f"the head"
        )
    tensors = []
    for name in build(_config(target), PURE).state_dict():
        action, how = _fate(name, source, target, inputs, outputs)
        if transfer_part == "encoder" and block_of(name) in DECODER:
            action, how = "new", "new decoder"
        if adapt_norm and name.endswith(_STATISTICS) and action != "new":
            action, how = "adapted", "re-estimated on the target's training slices"
        tensors.append(TensorPlan(name, action, how, block_of(name) in frozen))
    return TransferPlan(source, target, inputs, outputs, frozen, tuple(tensors))


def adapt(
    plan: TransferPlan, state: Mapping[str, Tensor], generator: Generator, prior: float | None
) -> dict[str, Tensor]:
    """The target network's state, as ``plan`` says; ``state`` is left as it is.

    Args:
        plan: from `plan`.
        state: the source network's, on the CPU.
        generator: a CPU generator, for new tensors.
        prior: share of positive voxels, for the bias of a new head (see `init_weights_`).
    """
    network = build(_config(plan.target), PURE)
    fresh = init_weights_(network, generator, prior=prior).state_dict()
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
    """The same shapes and the same freezing with every tensor new: the control of a transfer.

    Whatever a transfer from random weights achieves is not due to what the source has learnt.
    """
    tensors = tuple(
        # Statistics estimated on the target's slices carry no knowledge from the source.
        tensor
        if tensor.action == "adapted" and tensor.name.endswith(_STATISTICS)
        else replace(tensor, action="new", how="as before any training")
        for tensor in plan.tensors
    )
    return replace(plan, outputs=(None,) * len(plan.outputs), tensors=tensors)


def _config(shape: Shape) -> SegNetConfig:
    return SegNetConfig(
        in_channels=len(shape.modalities), classes=len(shape.regions), width=shape.width
    )


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
        origins = [
            f"{wanted} from {_mixed(parts, source.modalities)}"
            for wanted, parts in zip(target.modalities, inputs, strict=True)
        ]
        return "adapted", "; ".join(origins)
    if block_of(name) != HEAD:
        return "kept", "same shape"
    if outputs == tuple(range(len(source.regions))):
        return "kept", "same regions"
    if all(channel is None for channel in outputs):
        return "new", f"for {', '.join(target.regions)}"
    kept = [r for r, channel in zip(target.regions, outputs, strict=True) if channel is not None]
    new = [r for r, channel in zip(target.regions, outputs, strict=True) if channel is None]
    addition = f", new for {', '.join(new)}" if new else ""
    return "adapted", f"channels of {', '.join(kept)} kept{addition}"


def _mixed(parts: tuple[tuple[int, float], ...], modalities: Sequence[str]) -> str:
    if len(parts) == 1:
        return modalities[parts[0][0]]
    return f"{'+'.join(modalities[i] for i, _ in parts)} times {parts[0][1]:.2g}"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
