"""Masks as DICOM-SEG, for a PACS and its viewers: a segment per region, on the series of the scan.

What the standard asks for is copied from the source (patient, study, frame of reference); nothing
else of it is. Regions that overlap stay whole: each is a segment of its own.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.dicom_stack import frames_of, in_order
from mriseg.core.segment_codes import BRAIN, Code, segment_code
from mriseg.errors import InputError, OutputError, reason_of
from mriseg.io.dicom.conversion import problem_of, series_name
from mriseg.io.dicom.extra import WRITING
from mriseg.io.dicom.headers import DicomHeader, is_dicom, parsed, read_header
from mriseg.io.images import is_image
from mriseg.io.writers.base import Output

Array = NDArray[Any]

SUFFIX, MAPS_SUFFIX = ".seg.dcm", ".fractional.dcm"
NOT_CLINICAL = "not for clinical use"

# Added to the number of the source's series, so that a viewer lists it apart.
_MASKS_NUMBER, _MAPS_NUMBER = 9000, 9500
# Letters of a DICOM description.
_LONGEST = 64


class DicomSegWriter:
    """One object with a binary segment per region, and beside it one of their probabilities."""

    suffix = SUFFIX

    def write(self, output: Output, path: Path) -> None:
        """See `mriseg.io.writers.base.Writer.write`."""
        source = _Source(output)
        source.write(output.masks, path, is_binary=True)
        if output.probabilities:
            beside = path.with_name(path.name.removesuffix(SUFFIX) + MAPS_SUFFIX)
            source.write(output.probabilities, beside, is_binary=False)


WRITER = DicomSegWriter()


def refusal(series: Mapping[str, Sequence[Path]]) -> str:
    """Why no DICOM-SEG can be written for a case, as a clause; or nothing.

    Args:
        series: modality -> its files.
    """
    files = [paths for paths in series.values() if paths]
    if not files or any(is_image(paths[0]) or not is_dicom(paths[0]) for paths in files):
        return "it was not read from DICOM, and DICOM-SEG refers to the series that it is of"
    return WRITING.missing()


class _Source:
    """The series that masks are written for."""

    def __init__(self, output: Output) -> None:
        self._output = output
        headers = [read_header(path) for path in output.reference]
        what = series_name(output.reference)
        if headers[0].mosaic:
            raise InputError(f"{what} is a mosaic, to which DICOM-SEG cannot refer slice by slice")
        if problem := problem_of(headers):
            raise InputError(f"{what}: {problem}")
        self._headers = headers
        places = [place for header in headers for place in header.slices]
        self._order = in_order(places)
        self._frames = frames_of(output.geometry, [places[index] for index in self._order])

    def write(self, maps: Mapping[str, Array], path: Path, *, is_binary: bool) -> None:
        """Write an object with a segment per map.

        Args:
            maps: region -> mask or probabilities, in the output's axes.
            path: where to.
            is_binary: whether they are masks.

        Raises:
            OutputError: it cannot be written.
        """
        pixels = np.stack([self._framed(array) for array in maps.values()], axis=-1)
        pixels = pixels.astype(np.uint8) if is_binary else pixels.astype(np.float32).clip(0, 1)
        sources = [_shared(parsed(header.path)[0]) for header in self._in_frame_order()]
        try:
            with warnings.catch_warnings():
                # Of sources that bend the standard, and of masks that are empty.
                warnings.simplefilter("ignore")
                data = self._object(sources, pixels, [*maps], is_binary)
                data.save_as(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {reason_of(error)}") from error
        except Exception as error:
            raise InputError(
                f"no DICOM-SEG can be made of {series_name(self._output.reference)}: "
                f"{reason_of(error)}"
            ) from error

    def _in_frame_order(self) -> list[DicomHeader]:
        """The files in the order of the array's frames; a file of many frames is alone."""
        return [self._headers[i] for i in self._order] if len(self._headers) > 1 else self._headers

    def _framed(self, array: Array) -> Array:
        """An array as [frame, row, column], frames in the order of the sources."""
        framed = self._frames.of(array)
        if len(self._headers) > 1:
            return framed
        own = np.empty_like(framed)
        own[self._order] = framed
        return own

    def _object(
        self, sources: list[Any], pixels: Array, regions: Sequence[str], is_binary: bool
    ) -> Any:
        hd = WRITING.library("highdicom")
        maker, first = self._output.made_by, self._headers[0]
        kind = "BINARY" if is_binary else "FRACTIONAL"
        content = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
        seeds = [first.series, kind, maker.digest, maker.version, *regions]
        number = (first.number or 0) + (_MASKS_NUMBER if is_binary else _MAPS_NUMBER)
        what = "masks" if is_binary else "probabilities"
        return hd.seg.Segmentation(
            source_images=sources,
            pixel_array=pixels,
            segmentation_type=kind,
            segment_descriptions=[
                self._described(hd, number, region) for number, region in enumerate(regions, 1)
            ],
            series_instance_uid=_uid("series", *seeds),
            series_number=number,
            sop_instance_uid=_uid("instance", content, *seeds),
            instance_number=1,
            manufacturer="mriseg",
            manufacturer_model_name="mriseg",
            software_versions=maker.version,
            device_serial_number=maker.digest[:16] or "0",
            content_description=NOT_CLINICAL,
            content_label="MRISEG",
            series_description=f"mriseg {what} ({NOT_CLINICAL})"[:_LONGEST],
            # Viewers there are that look for every slice of the series.
            omit_empty_frames=not is_binary,
        )

    def _described(self, hd: Any, number: int, region: str) -> Any:
        code, maker = segment_code(region), self._output.made_by
        colour = self._output.colours.get(region)
        return hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=region[:_LONGEST],
            segmented_property_category=_coded(hd, code.category),
            segmented_property_type=_coded(hd, code.kind),
            algorithm_type="AUTOMATIC",
            algorithm_identification=hd.AlgorithmIdentificationSequence(
                name=f"mriseg ({NOT_CLINICAL})",
                family=_coded(hd, Code("123110", "DCM", "Artificial Intelligence")),
                version=maker.version,
                parameters={"model": maker.model, "model digest": maker.digest},
            ),
            anatomic_regions=[_coded(hd, BRAIN)] if code.is_lesion else None,
            display_color=hd.color.CIELabColor.from_rgb(*colour) if colour else None,
        )


def _shared(data: Any) -> Any:
    """An enhanced image whose frames share what is the same in all; scanners state it in each."""
    shared, each = (
        data.get(name)
        for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    )
    if shared and each:
        for name in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
            if name not in shared[0] and name in each[0]:
                setattr(shared[0], name, each[0].get(name))
    return data


def _coded(hd: Any, code: Code) -> Any:
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)


def _uid(*seeds: str) -> str:
    """The same for the same, so that a mask sent twice is not two."""
    return str(WRITING.library("pydicom.uid").generate_uid(entropy_srcs=["mriseg", *seeds]))
