from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from mriseg.io.dicom.elements import (
    facts_of,
    number_of,
    numbers_of,
    slices_of,
    texts_of,
    whole_of,
)


def frame(z: float) -> Dataset:
    group, place, echo = Dataset(), Dataset(), Dataset()
    place.ImagePositionPatient = [0, 0, z]
    echo.EffectiveEchoTime = 95.0
    group.PlanePositionSequence = [place]
    group.MREchoSequence = [echo]
    return group


def enhanced() -> Dataset:
    data, shared, measures, plane, scale = (Dataset() for _ in range(5))
    measures.PixelSpacing = [0.5, 0.75]
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    scale.RescaleSlope, scale.RescaleIntercept = "2", "1"
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [plane]
    shared.PixelValueTransformationSequence = [scale]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = [frame(0), frame(3)]
    data.Modality = "MR"
    return data


def test_frames_of_one_file_have_places_of_their_own() -> None:
    places = list(slices_of(Path("x.dcm"), enhanced(), (4, 5), 2))
    assert [place.name for place in places] == ["frame 1 of x.dcm", "frame 2 of x.dcm"]
    assert [place.position for place in places] == [(0, 0, 0), (0, 0, 3)]
    assert places[1].spacing == (0.5, 0.75)
    assert places[1].scale == (2, 1)


def test_a_file_whose_frames_are_not_all_described_has_no_place() -> None:
    (place,) = slices_of(Path("x.dcm"), enhanced(), (4, 5), 3)
    assert place.position == ()


def test_times_are_read_from_frames_too() -> None:
    facts = facts_of(enhanced(), ("ORIGINAL",), 2)
    assert (facts.echo_time, facts.slices, facts.inversion_time) == (95, 2, None)


@pytest.mark.parametrize("value", [None, "", [], "text", float("nan")])
def test_no_number_is_none(value: object) -> None:
    assert number_of(value) is None


def test_single_values_and_several() -> None:
    assert numbers_of([1, "2"]) == (1, 2)
    assert numbers_of(3) == (3,)
    assert texts_of("a") == ("a",)
    assert texts_of(["a", "b"]) == ("a", "b")
    assert texts_of(None) == ()
    assert whole_of("3") == 3
    assert whole_of("") is None
