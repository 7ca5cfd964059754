"""The scans of a session onto one grid: aligned and stripped, where that is asked for.

It is the same for `preprocess`, which keeps what was done with the case, and for `predict`, which
does to a new scan what was done to those that the model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.heads import STRIPPED, head_of
from mriseg.core.outline import outlined
from mriseg.core.preparation import (
    Alignment,
    Plan,
    Preparation,
    SeriesRecord,
    SessionRecord,
    plan,
)
from mriseg.core.prepare import PreparedCase, prepare
from mriseg.core.regridding import labels_regridded, regridded
from mriseg.core.volume import canonical
from mriseg.errors import ConfigError, InputError
from mriseg.events import Doing, Partly
from mriseg.io.readers import RawCase
from mriseg.strippers import best_modality, chosen, unfamiliar

Array = NDArray[Any]


def check_preparation(wanted: Preparation) -> None:
    """Refuse what cannot be done on this machine, before anything is.

    Raises:
        ConfigError: a library is missing.
        UnknownNameError: there is no such stripper.
    """
    if wanted.align != "none":
        from mriseg.alignment import ALIGN

        if lacking := ALIGN.missing():
            raise ConfigError(f"--align: {lacking}")
    chosen(wanted.strip)


def brought_together(raw: RawCase, wanted: Preparation) -> Partly[tuple[RawCase, SessionRecord]]:
    """A session's scans on one grid; yields what is being done.

    What is on that grid already, and neither aligned nor stripped, stays as it is.

    Args:
        raw: as a reader gives it.
        wanted: what is to be done.

    Returns:
        The scans on one grid with the segmentation, and what was done.

    Raises:
        InputError: they cannot be brought together.
        ConfigError: a library is missing.
    """
    planned = plan(raw.places, wanted, raw.labels_on)
    alignments = yield from _aligned(raw, planned)
    notices = [*planned.notices, *_about(alignments)]
    series = {
        name: SeriesRecord(
            own=raw.own.get(name, place),
            lies=place if name in raw.own else None,
            resampled=name in planned.resampled or (name in alignments and alignments[name].used),
            alignment=alignments.get(name),
        )
        for name, place in planned.grids.items()
    }
    images = {}
    for name, array in raw.images.items():
        one = series[name]
        if one.resampled:
            yield Doing(0.0, f"resampling {name}")
            array = regridded(array, planned.grids[name], planned.grid, one.motion)
        images[name] = array
    labels, more = _labels(raw, planned, series)
    record, outline = SessionRecord(wanted, planned.reference, series), None
    if stripper := chosen(wanted.strip):
        on = best_modality(stripper, [*images])
        yield Doing(0.0, f"stripping by {stripper.name}")
        brain = stripper.brain(images[on], planned.grid, on)
        if brain.any():
            outline = outlined(images[on], brain, planned.grid, modality=on, stripper=stripper.name)
        images = {
            name: np.where(brain, array, np.zeros((), array.dtype))
            for name, array in images.items()
        }
        volume = planned.grid.volume_of(int(brain.sum()))
        record = replace(record, stripped_on=on, brain=volume.value)
        more.append(f"stripped by {stripper.name} on its {on}: a brain of {volume}")
        more += filter(None, [unfamiliar(stripper, on)])
    together = replace(
        raw,
        images=images,
        labels=labels,
        geometry=planned.grid,
        notices=(*raw.notices, *notices, *more),
        grids={},
        own={},
        labels_on="",
        outline=outline,
    )
    return together, record


def prepared(raw: RawCase, wanted: Preparation) -> Partly[tuple[PreparedCase, RawCase]]:
    """A session as a network takes it, and its scans on one grid; yields what is being done.

    Raises:
        InputError: the scans cannot be brought together, or `prepare` refuses them.
        ConfigError: a library is missing.
    """
    together, record = yield from brought_together(raw, wanted)
    case = prepare(together.images, together.labels, together.geometry)
    views = [canonical(image, together.geometry) for image in together.images.values()]
    head = STRIPPED if record.stripped_on else head_of(views)
    return replace(case, session=record, head=head, outline=together.outline), together


def _aligned(raw: RawCase, planned: Plan) -> Partly[dict[str, Alignment]]:
    if not planned.aligned:
        return {}
    from mriseg.alignment import Reference, align

    alignments = {}
    yield Doing(0.0, f"aligning to {planned.reference}")
    reference = Reference(raw.images[planned.reference], planned.grid)
    for name in planned.aligned:
        yield Doing(0.0, f"aligning {name}")
        alignments[name] = align(reference, raw.images[name], planned.grids[name])
    return alignments


def _about(alignments: Mapping[str, Alignment]) -> list[str]:
    """What a user should know of how scans were aligned."""
    used = [f"{name} by {one.shift:.1f} mm" for name, one in alignments.items() if one.used]
    notices = [f"moved onto its reference: {', '.join(used)} on average"] if used else []
    for name, one in alignments.items():
        if not one.used:
            notices.append(f"its {name} is left where its header places it: {one.remark}")
    return notices


def _labels(
    raw: RawCase, planned: Plan, series: Mapping[str, SeriesRecord]
) -> tuple[NDArray[np.uint8] | None, list[str]]:
    name = planned.labels_on
    if raw.labels is None or not series[name].resampled:
        return raw.labels, []
    own = planned.grids[name]
    labels = labels_regridded(raw.labels, own, planned.grid, series[name].motion)
    if raw.labels.any() and not labels.any():
        raise InputError(
            f"nothing of its segmentation is left on the grid of its {planned.reference}: it is "
            f"smaller than a voxel there, or lies elsewhere"
        )
    return labels, [
        f"its segmentation, on the grid of its {name}, was resampled onto that of its "
        f"{planned.reference} by the nearest voxel"
    ]
