"""Why a training diverged: which slices of the batch that did it are to blame.

Looked into once it has happened, so that no step of a training that goes well pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mriseg.core.volume import SliceRef
from mriseg.errors import DivergedError

_TOLD = 3  # slices, by name


@dataclass(frozen=True)
class Suspect:
    """A slice of the batch at which a training diverged.

    Attributes:
        ref: which one.
        broken: whether its voxels, before anything was computed, are not all numbers.
        loss: its own, by the last good weights; not a number if they too give none.
    """

    ref: SliceRef
    broken: bool
    loss: float


def suspects(
    refs: Sequence[SliceRef],
    image: Tensor,
    target: Tensor,
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> list[Suspect]:
    """The slices of a batch, the worst first.

    Args:
        refs: what the batch was read from.
        image: [b, c, h, w], on the device of ``model``.
        target: [b, r, h, w].
        model: with the last weights that were good; its BatchNorm statistics are changed.
        loss: of logits and target, as it was trained with.
    """
    with torch.no_grad():
        broken = (~image.isfinite()).flatten(1).any(1).tolist()
        # In training mode, as it diverged; what is broken would spoil the others' statistics.
        logits = model.train()(image.nan_to_num(0, 0, 0)).float()
        losses = [float(loss(logits[i : i + 1], target[i : i + 1])) for i in range(len(refs))]
    found = [Suspect(*item) for item in zip(refs, broken, losses, strict=True)]
    # NaN compares to nothing, so that it is put before all numbers by hand.
    return sorted(found, key=lambda s: (not s.broken, s.loss == s.loss, -s.loss))


def diverged(
    what: str, found: Sequence[Suspect], run: Path, *, rate: float, in_full: bool
) -> DivergedError:
    """The error that names what happened and to which slices, and says how to go on.

    Args:
        what: became infinite or NaN, and when.
        found: the slices of the batch, the worst first; none where no batch is to blame.
        run: where the last good checkpoint is.
        rate: the learning rate that was trained with.
        in_full: whether it was computed in float32.
    """
    broken = [suspect.ref for suspect in found if suspect.broken]
    kept = f"the last good checkpoint is kept in {run}"
    if broken:
        cases = list(dict.fromkeys(ref.case for ref in broken))
        return DivergedError(
            f"{what}: in the store, {_slices(broken)} holds voxels that are NaN or infinite; "
            f"{kept}. Preprocess {', '.join(cases)} again into a new store, NEW, and go on with "
            f"mriseg train NEW --resume --run {run}, or train anew with --exclude {','.join(cases)}"
        )
    told = ", ".join(f"{_slices([suspect.ref])} ({suspect.loss:.3g})" for suspect in found[:_TOLD])
    blamed = f" (the highest losses of its batch, by earlier weights: {told})" if told else ""
    precise = f"go on in float32, with mriseg train --resume {run} --precision fp32, or "
    return DivergedError(
        f"{what}{blamed}; {kept}: {'' if in_full else precise}carry it over, with mriseg transfer "
        f"--from {run} --freeze none and a lower --learning-rate (it was {rate:g}), or train anew "
        f"with that"
    )


def _slices(refs: Sequence[SliceRef]) -> str:
    """Such as ``case Brats17_1, slices 3, 4``."""
    by_case: dict[str, set[int]] = {}
    for ref in refs:
        by_case.setdefault(ref.case, set()).add(ref.slice)
    return " and ".join(
        f"case {case}, slice{'s' * (len(found) > 1)} {', '.join(map(str, sorted(found)))}"
        for case, found in by_case.items()
    )
