"""The batches of an epoch, as numbers until they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import SliceRef

SLICES = 2**32
"""A slice as one number, in the order of slices: its case's place among the sorted names times
this, plus z."""


@dataclass(frozen=True)
class BatchPlan:
    """The slices of one batch, ordered by case and slice, so that each chunk is opened once."""

    refs: tuple[SliceRef, ...]


class EpochPlan(Sequence[BatchPlan]):
    """The batches of an epoch.

    Each is made when it is asked for: an epoch may have millions of slices, of which a training
    holds a few batches at a time.
    """

    def __init__(self, names: tuple[str, ...], slices: NDArray[np.int64]) -> None:
        self._names, self._slices = names, slices

    def __len__(self) -> int:
        return len(self._slices)

    @overload
    def __getitem__(self, which: int) -> BatchPlan: ...

    @overload
    def __getitem__(self, which: slice) -> EpochPlan: ...

    def __getitem__(self, which: int | slice) -> BatchPlan | EpochPlan:
        if isinstance(which, slice):
            return EpochPlan(self._names, self._slices[which])
        cases, slices = np.divmod(self._slices[which], SLICES)
        pairs = zip(cases.tolist(), slices.tolist(), strict=True)
        return BatchPlan(tuple(SliceRef(self._names[case], z) for case, z in pairs))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list's


def share(plan: BatchPlan, rank: int, world: int) -> BatchPlan:
    """The slices of a batch that process number ``rank`` of ``world`` reads and computes.

    All shares together are the batch, and none differs from another by more than one slice. Each
    keeps the batch's order, so that it opens each chunk once, too.
    """
    return BatchPlan(plan.refs[rank::world])
