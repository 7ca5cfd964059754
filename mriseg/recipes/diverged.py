"""The error of a training that diverged: what happened, to which slices, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mriseg.core.volume import SliceRef
from mriseg.engine.divergence import Suspect
from mriseg.errors import DivergedError

_MAX_LISTED = 3  # slices, by name


def diverged(
    what: str, worst: Sequence[Suspect], run: Path, *, rate: float, in_full: bool
) -> DivergedError:
    """The error that names what happened and to which slices, and says how to go on.

    Args:
        what: became infinite or NaN, and when.
        worst: the slices of the batch, the worst first; none where no batch is to blame.
        run: where the last good checkpoint is.
        rate: the learning rate that was trained with.
        in_full: whether it was computed in float32.
    """
    corrupt = [suspect.ref for suspect in worst if suspect.corrupt]
    kept = f"the last good checkpoint is kept in {run}"
    if corrupt:
        cases = list(dict.fromkeys(ref.case for ref in corrupt))
        return DivergedError(
            f"{what}: in the store, {_slices(corrupt)} holds voxels that are NaN or infinite; "
            f"{kept}. Preprocess {', '.join(cases)} again into a new store, NEW, and resume with "
            f"mriseg train NEW --resume --run {run}, or train from scratch with --exclude "
            f"{','.join(cases)}"
        )
    highest = [f"{_slices([each.ref])} ({each.loss:.3g})" for each in worst[:_MAX_LISTED]]
    blamed = f" (highest losses of the batch, by earlier weights: {', '.join(highest)})"
    precise = f"resume in float32, with mriseg train --resume {run} --precision fp32, or "
    return DivergedError(
        f"{what}{blamed if highest else ''}; {kept}: {'' if in_full else precise}transfer from it, "
        f"with mriseg transfer --from {run} --freeze none and a lower --learning-rate (it was "
        f"{rate:g}), or train from scratch with that"
    )


def _slices(refs: Sequence[SliceRef]) -> str:
    """Such as ``case Brats17_1, slices 3, 4``."""
    by_case: dict[str, set[int]] = {}
    for ref in refs:
        by_case.setdefault(ref.case, set()).add(ref.slice)
    return " and ".join(
        f"case {case}, slice{'s' * (len(numbers) > 1)} {', '.join(map(str, sorted(numbers)))}"
        for case, numbers in by_case.items()
    )
