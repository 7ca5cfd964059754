"""The viewer in a report: NiiVue with a case inside the page, for three planes and 3-D.

A page holds `viewer_style` and `viewer_script` once, the script after all sections, and a
`viewer_section` per case. Nothing is fetched: scans, masks and script are in the page. A viewer
starts when its section is opened, so that a page of many cases opens at once.

What the page's content security policy must allow is in `DIRECTIVES`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from numpy.typing import NDArray

from mriseg.core import display, volume
from mriseg.core.display import Levels
from mriseg.core.modalities import display_modality
from mriseg.core.prepare import PreparedCase
from mriseg.core.volume import Box, Geometry
from mriseg.errors import InputError
from mriseg.io.assets import asset, niivue
from mriseg.io.nifti_embed import embedded
from mriseg.report.drawing import colour, pale

Array = NDArray[Any]

ABSENT = (
    "The interactive viewer is not part of this page: mriseg was installed without it. Install "
    "mriseg from PyPI, or run scripts/viewer in a checkout, and make the report again."
)
DIRECTIVES = {"script-src": "the page's own nonce or hash", "img-src": "data:"}
"""What NiiVue needs of a content security policy: its letters are a picture in the script."""

MOST_VOXELS = 40_000_000
"""Of all images of a case together, about 20 MB of page; four of BraTS have 13 million."""


@dataclass(frozen=True)
class ViewedImage:
    """One image of a case.

    Attributes:
        name: such as "FLAIR".
        levels: [z, y, x] on the case's grid.
    """

    name: str
    levels: Levels


@dataclass(frozen=True)
class ViewedCase:
    """A case as the viewer shows it, all of it on one grid.

    Attributes:
        title: of the section.
        images: at least one; the first is shown first.
        geometry: of the source.
        box: what the arrays cut from the canonical volume.
        regions: names of the r regions.
        mask: the prediction, not 0 where a region is, [r, z, y, x].
        truth: likewise.
        probabilities: 0 to 1, [r, z, y, x].
        left_out: names of images that would have made the page too large.
    """

    title: str
    images: Sequence[ViewedImage]
    geometry: Geometry
    box: Box
    regions: Sequence[str] = ()
    mask: Array | None = None
    truth: Array | None = None
    probabilities: Array | None = None
    left_out: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.images:
            raise InputError(f"the case {self.title!r} has no image to show")
        grid, expected = self.box.shape, (len(self.regions), *self.box.shape)
        for image in self.images:
            if image.levels.data.shape != grid:
                raise InputError(
                    f"{image.name} has the shape {image.levels.data.shape}; expected {grid}"
                )
        for what in ("mask", "truth", "probabilities"):
            array = getattr(self, what)
            if array is not None and array.shape != expected:
                raise InputError(f"the {what} has the shape {array.shape}; expected {expected}")


def viewed(
    title: str,
    case: PreparedCase,
    regions: Sequence[str] = (),
    *,
    mask: Array | None = None,
    truth: Array | None = None,
    probabilities: Array | None = None,
) -> ViewedCase:
    """A prepared case for the viewer, its intensities the scan's own again, cut to what is shown.

    The image that mriseg's pictures show comes first. Where all would be more than `MOST_VOXELS`,
    the last ones are left out, which the section says.

    Args:
        title: of the section.
        case: normalised, as it was stored or read.
        regions: names of the r regions.
        mask: on the case's grid, not 0 where a region is, [r, z, y, x].
        truth: likewise.
        probabilities: 0 to 1, [r, z, y, x].

    Raises:
        InputError: the arrays or names do not fit together.
    """
    masks = [array for array in (mask, truth) if array is not None]
    cut = display.shown_box([case.image, *masks])
    first = display_modality(case.modalities)
    names = sorted(case.modalities, key=lambda name: name != first)
    fitting = max(1, MOST_VOXELS // math.prod(cut.shape))

    def part(array: Array | None) -> Array | None:
        return None if array is None else volume.crop(array, cut)

    return ViewedCase(
        title=title,
        images=[viewed_image(case, name, cut) for name in names[:fitting]],
        geometry=case.geometry,
        box=display.within(case.box, cut),
        regions=tuple(regions),
        mask=part(mask),
        truth=part(truth),
        probabilities=part(probabilities),
        left_out=tuple(names[fitting:]),
    )


def viewed_image(case: PreparedCase, name: str, cut: Box) -> ViewedImage:
    """One modality in the scan's own intensities.

    Args:
        case: normalised, as it was stored or read.
        name: of a modality that it has.
        cut: what is shown of the case's arrays.
    """
    channel = case.modalities.index(name)
    levels = display.grey_levels(volume.crop(case.image[channel], cut))
    scale = case.normalisation
    return ViewedImage(name, levels.scaled(scale.std[channel], scale.mean[channel]))


def viewer_script() -> str | None:
    """What a page with viewers runs, for one script element after its sections; None if absent."""
    library = niivue()
    return None if library is None else f"{library}\n{asset('viewer.js')}"


def viewer_style() -> str:
    """What a page with viewers needs of style, for one style element."""
    return asset("viewer.css")


def viewer_section(case: ViewedCase, *, opened: bool = False) -> Markup:
    """A case in a section of its own, or one sentence where there is no viewer.

    Args:
        case: what to show.
        opened: whether it starts with the page; else it does when someone opens it.
    """
    if niivue() is None:
        return Markup('<p class="viewer-absent">{}</p>').format(ABSENT)
    content = json.dumps(_content(case), separators=(",", ":"))
    # No text can end the element, whatever it says.
    safe = content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    html = _template().render(case=case, opened=opened, content=Markup(safe), notes=_notes(case))
    return Markup(html)


@cache
def _template() -> Any:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        asset("viewer.html")
    )


def _content(case: ViewedCase) -> dict[str, Any]:
    """What viewer.js starts from; its own comment lists the fields."""
    affine = display.ras_affine(case.geometry, case.box)
    masks = [array for array in (case.mask, case.truth) if array is not None]
    z, y, x = display.focus(masks, case.box.shape)
    _, height, width = case.box.shape
    focus = affine @ (width - 1 - x, height - 1 - y, z, 1)
    return {
        "title": case.title,
        "mm": case.geometry.unit == "mm",
        "slice": case.geometry.ndim == 2,
        "flat": is_flat(case.geometry, case.box),
        "first": case.box.start,
        "shape": case.box.shape,
        "focus": focus[:3].tolist(),
        "images": [_image(image, affine, case.geometry.unit == "mm") for image in case.images],
        "layers": [
            *_layers("mask", case.mask, case, affine),
            *_layers("truth", case.truth, case, affine),
        ],
        "probabilities": _probabilities(case, affine),
    }


def is_flat(geometry: Geometry, box: Box) -> bool:
    """Whether the planes across the slices show little, of what ``box`` cuts from a volume."""
    size = np.multiply(box.shape, geometry.spacing)
    return bool(size[0] < 0.3 * size[1:].max())


def _packed(data: Array, affine: Array, **header: Any) -> str:
    return base64.b64encode(embedded(display.to_ras(data), affine, **header)).decode()


def _image(image: ViewedImage, affine: Array, in_mm: bool) -> dict[str, Any]:
    levels = image.levels
    scale = {"slope": levels.slope, "inter": levels.inter}
    return {
        "name": image.name,
        "nifti": _packed(levels.data, affine, in_mm=in_mm, **scale),
        "window": levels.window,
        "background": levels.inter,
    }


def _layers(
    kind: str, masks: Array | None, case: ViewedCase, affine: Array
) -> list[dict[str, Any]]:
    """Each eight regions of a mask or truth, with their colours."""
    if masks is None:
        return []
    in_mm, step = case.geometry.unit == "mm", display.REGIONS_PER_LAYER
    layers = []
    for number, data in enumerate(display.bit_layers(masks)):
        first = number * step
        regions = []
        for index in range(first, min(first + step, len(case.regions))):
            paint = colour(index)[1]
            regions.append(
                {
                    "index": index,
                    "colour": pale(paint) if kind == "truth" else paint,
                    # Of regions in one another, the smallest is on top.
                    "size": int(np.count_nonzero(masks[index])),
                }
            )
        packed = _packed(data, affine, in_mm=in_mm, labels=True)
        layers.append({"kind": kind, "nifti": packed, "regions": regions})
    return layers


def _probabilities(case: ViewedCase, affine: Array) -> list[dict[str, Any]]:
    if case.probabilities is None:
        return []
    maps = []
    for index, region in enumerate(case.probabilities):
        levels = display.shares(region)
        packed = _packed(levels.data, affine, in_mm=case.geometry.unit == "mm", slope=levels.slope)
        maps.append({"index": index, "nifti": packed, "colour": colour(index)[1]})
    return maps


def _notes(case: ViewedCase) -> list[str]:
    """What the viewer shows other than the scan's files have it."""
    notes = []
    rounded = [image for image in case.images if not image.levels.exact]
    if rounded:
        steps = ", ".join(f"{image.name} {image.levels.error:.3g}" for image in rounded)
        notes.append(
            f"Intensities are stored in 255 steps between their 0.1st and 99.9th percentile and "
            f"may be off by up to: {steps}. Masks are exact."
        )
    if case.left_out:
        notes.append(f"Left out, as the page would be too large: {', '.join(case.left_out)}.")
    notes.append(
        "Radiological display: the patient's right is on the left of axial and coronal slices."
    )
    if case.geometry.unit != "mm":
        notes.append(
            "These files state no orientation and no voxel size: right and left are those of the "
            "data set's convention, and only the slices themselves are in proportion."
        )
    return notes
