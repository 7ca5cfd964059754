"""Whether a scan is like those of the training: its voxels, its field of view, its intensities.

A network is only as good as its training on scans like those. What is compared is known of every
scan before a network sees it: the size of its voxels, how far the head or brain extends, and how
much intensities vary over it compared to their mean, in each modality. Limits are those of the
training cases, widened, since a handful of cases does not show all that a scanner does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from pydantic import ConfigDict, Field

from mriseg.core.intensity import Normalisation
from mriseg.core.resampling import MAX_RATIO
from mriseg.core.volume import Geometry

# By how much a scan may lie outside of what training had. Sizes of pixels as in resampling.
_SPACING, _EXTENT, _VARIATION = MAX_RATIO, 1.25, 1.5
# A mean of 0, as after a z-score, has no ratio.
_MAX_VARIATION = 1000.0
_DIRECTIONS = ("from top to bottom", "from front to back", "from side to side")
# A slice thicker than it is wide is usual: the first axis is spoken of by itself.
_VOXELS = (
    "slices {:.1f} mm apart",
    "voxels of {:.1f} mm from front to back",
    "voxels of {:.1f} mm from side to side",
)

Bound = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Span(NamedTuple):
    """From the lowest to the highest of some numbers."""

    low: Bound
    high: Bound

    def holds(self, value: float, factor: float) -> bool:
        """Whether a number lies in it, widened by a factor on either side."""
        return self.low / factor <= value <= self.high * factor


Spans = tuple[Span, Span, Span]
"""Along z, y and x."""


@dataclass(frozen=True)
class ScanFacts:
    """What is compared of a scan.

    Attributes:
        spacing: size of its voxels (z, y, x) in mm; None where it states none.
        extent: voxels of the box around its foreground (z, y, x).
        variation: modality -> standard deviation of its raw intensities over the foreground, as a
            share of their mean.
    """

    spacing: tuple[float, float, float] | None
    extent: tuple[int, int, int]
    variation: dict[str, float]


@dataclass(frozen=True)
class TrainingScans:
    """What the training cases were like.

    Attributes:
        cases: how many there were.
        spacing: of their voxels, in mm; None where none states it.
        extent: of their foreground in voxels, of all of them.
        extent_mm: in mm, of those that state it; None: none does.
        variation: modality -> of the cases that have it, see `ScanFacts.variation`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    cases: Annotated[int, Field(ge=1)]
    spacing: Spans | None
    extent: Spans
    extent_mm: Spans | None
    variation: dict[Annotated[str, Field(max_length=4096)], Span] = field(default_factory=dict)


def facts_of(
    geometry: Geometry,
    extent: tuple[int, int, int],
    modalities: Sequence[str],
    normalisation: Normalisation,
) -> ScanFacts:
    """What is compared of a scan, of what is known of a prepared or stored case."""
    ratios = (
        min(std / max(abs(mean), 1e-9), _MAX_VARIATION)
        for mean, std in zip(normalisation.mean, normalisation.std, strict=True)
    )
    spacing = geometry.spacing if geometry.unit == "mm" else None
    return ScanFacts(spacing, extent, dict(zip(modalities, ratios, strict=True)))


def training_scans(scans: Iterable[ScanFacts]) -> TrainingScans:
    """What the training cases were like; there is at least one."""
    scans = list(scans)
    in_mm = [(scan.spacing, scan.extent) for scan in scans if scan.spacing is not None]
    names = dict.fromkeys(name for scan in scans for name in scan.variation)
    return TrainingScans(
        cases=len(scans),
        spacing=_spans([spacing for spacing, _ in in_mm]) if in_mm else None,
        extent=_spans([scan.extent for scan in scans]),
        extent_mm=_spans([_times(*both) for both in in_mm]) if in_mm else None,
        variation={
            name: _span([scan.variation[name] for scan in scans if name in scan.variation])
            for name in names
        },
    )


def unlike(scan: ScanFacts, training: TrainingScans) -> tuple[str, ...]:
    """In what a scan is unlike the training cases, each in a few plain words.

    Args:
        scan: it; modalities that the training did not have are not compared.
        training: what those were like.
    """
    return (
        *_other_voxels(scan, training),
        *_other_extent(scan, training),
        *_other_intensities(scan, training),
    )


def _other_voxels(scan: ScanFacts, training: TrainingScans) -> Iterable[str]:
    if scan.spacing is None or training.spacing is None:
        return
    if len({round(size, 1) for size in scan.spacing}) == 1 and len(set(training.spacing)) == 1:
        size, span = scan.spacing[0], training.spacing[0]
        if not span.holds(size, _SPACING):
            yield f"voxels of {size:.1f} mm, {_had(span, 1)}"
        return
    for text, size, span in zip(_VOXELS, scan.spacing, training.spacing, strict=True):
        if not span.holds(size, _SPACING):
            yield f"{text.format(size)}, {_had(span, 1)}"


def _other_extent(scan: ScanFacts, training: TrainingScans) -> Iterable[str]:
    sizes: Sequence[float] = scan.extent
    spans, unit = training.extent, "voxels"
    if scan.spacing is not None and training.extent_mm is not None:
        sizes, spans, unit = _times(scan.spacing, scan.extent), training.extent_mm, "mm"
    for direction, size, span in zip(_DIRECTIONS, sizes, spans, strict=True):
        if not span.holds(size, _EXTENT):
            yield f"{size:.0f} {unit} {direction}, {_had(span, 0)}"


def _other_intensities(scan: ScanFacts, training: TrainingScans) -> Iterable[str]:
    for name, ratio in scan.variation.items():
        span = training.variation.get(name)
        if span is not None and not span.holds(ratio, _VARIATION):
            yield (f"intensities of {name} vary by {ratio:.2f} of their mean, {_had(span, 2)}")


def _had(span: Span, digits: int) -> str:
    return f"training had {span.low:.{digits}f} to {span.high:.{digits}f}"


def _times(
    spacing: tuple[float, float, float], extent: tuple[int, int, int]
) -> tuple[float, float, float]:
    z, y, x = (size * count for size, count in zip(spacing, extent, strict=True))
    return (z, y, x)


def _spans(values: Sequence[Sequence[float]]) -> Spans:
    z, y, x = (_span(axis) for axis in zip(*values, strict=True))
    return (z, y, x)


def _span(values: Sequence[float]) -> Span:
    return Span(float(min(values)), float(max(values)))
