"""What single elements of a header say: facts for a guess, and where each frame lies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mriseg.core.dicom_stack import SlicePlace
from mriseg.core.series import SeriesFacts

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def facts_of(data: Dataset, image_type: tuple[str, ...], frames: int) -> SeriesFacts:
    """What a guess of the modality can rest on, of one file."""
    echo = _first(data, "MREchoSequence", "EffectiveEchoTime", data.get("EchoTime"))
    timing = "MRTimingAndRelatedParametersSequence"
    modifier = "MRModifierSequence"
    bvalue = _first(data, "MRDiffusionSequence", "DiffusionBValue", data.get("DiffusionBValue"))
    return SeriesFacts(
        description=str(data.get("SeriesDescription", "") or data.get("ProtocolName", "") or ""),
        image_type=image_type,
        modality=str(data.get("Modality", "") or ""),
        echo_time=number_of(echo),
        repetition_time=number_of(
            _first(data, timing, "RepetitionTime", data.get("RepetitionTime"))
        ),
        inversion_time=number_of(
            _first(data, modifier, "InversionTimes", data.get("InversionTime"))
        ),
        sequences=texts_of(data.get("ScanningSequence")),
        contrast=str(data.get("ContrastBolusAgent", "") or ""),
        diffusion=number_of(bvalue) or 0.0,
        body_part=str(data.get("BodyPartExamined", "") or ""),
        slices=frames,
    )


def _groups(data: Dataset) -> Iterator[Dataset]:
    """The functional groups of an enhanced image: those of all frames, then of each."""
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        yield from data.get(name) or ()


def _first(data: Dataset, sequence: str, name: str, default: Any) -> Any:
    for group in _groups(data):
        for item in group.get(sequence) or ():
            if name in item:
                return item.get(name)
    return default


def slices_of(
    path: Path, data: Dataset, shape: tuple[int, int], frames: int
) -> Iterator[SlicePlace]:
    """Where each frame of a file lies; a place without numbers where it is not stated."""
    each = [*(data.get("PerFrameFunctionalGroupsSequence") or ())]
    shared = [*(data.get("SharedFunctionalGroupsSequence") or ())]
    if not each and not shared and frames == 1:
        yield _place(path.name, [data], shape, data)
        return
    if len(each) != frames:
        yield SlicePlace(path.name, shape)
        return
    for number, group in enumerate(each, start=1):
        yield _place(f"frame {number} of {path.name}", [group, *shared], shape, None)


def _place(
    name: str, groups: Sequence[Dataset], shape: tuple[int, int], plain: Dataset | None
) -> SlicePlace:
    def of(sequence: str, keyword: str) -> Any:
        if plain is not None:
            return plain.get(keyword)
        items = (item for group in groups for item in group.get(sequence) or ())
        return next((item.get(keyword) for item in items if keyword in item), None)

    scaling = "PixelValueTransformationSequence"
    slope, intercept = of(scaling, "RescaleSlope"), of(scaling, "RescaleIntercept")
    return SlicePlace(
        name=name,
        shape=shape,
        position=numbers_of(of("PlanePositionSequence", "ImagePositionPatient")),
        orientation=numbers_of(of("PlaneOrientationSequence", "ImageOrientationPatient")),
        spacing=numbers_of(of("PixelMeasuresSequence", "PixelSpacing")),
        scale=(
            1.0 if slope in (None, "") else float(slope),
            0.0 if intercept in (None, "") else float(intercept),
        ),
    )


def texts_of(value: Any) -> tuple[str, ...]:
    """The values of an element of texts; none where it is not there."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def numbers_of(value: Any) -> tuple[float, ...]:
    """The values of an element of numbers; none where it is not there."""
    if value is None or isinstance(value, str):
        return ()
    try:
        return tuple(float(number) for number in value)
    except TypeError:
        return (float(value),)


def number_of(value: Any) -> float | None:
    """The first value of an element of numbers, if it is finite."""
    numbers = numbers_of(value) if value not in (None, "") else ()
    return numbers[0] if numbers and math.isfinite(numbers[0]) else None


def whole_of(value: Any) -> int | None:
    """A whole number, where there is one."""
    return None if value in (None, "") else int(value)
