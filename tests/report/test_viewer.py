"""The viewer's section: what it says, how large it is, and that no text breaks out of it.

What a browser makes of it is in test_viewer_browser.py.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.core.display import grey_levels
from mriseg.core.orientation import geometry_of
from mriseg.core.prepare import PreparedCase, prepare
from mriseg.core.regions import region_masks
from mriseg.core.volume import Box
from mriseg.errors import InputError
from mriseg.io import assets
from mriseg.report import viewer
from mriseg.report.drawing import colour, pale
from mriseg.report.page import Viewer
from mriseg.report.viewer import ViewedCase, ViewedImage, packed, page_viewer, viewed
from mriseg.testing import phantoms
from tests.report.cases import brats_case

REGIONS = ("WT", "TC")
MEGABYTE = 1_000_000


@pytest.fixture
def case(rng: np.random.Generator) -> PreparedCase:
    images, labels = phantoms.head(rng, (12, 30, 24))
    # The file's axes run to the left, to the back and up.
    turned = {name.upper(): image.T for name, image in images.items()}
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    return prepare(turned, labels.T, geometry_of((24, 30, 12), affine))


@pytest.fixture
def masks(case: PreparedCase) -> np.ndarray:
    assert case.labels is not None
    return np.stack([case.labels > 0, case.labels % 2 == 1])


@pytest.fixture
def _script(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if NiiVue were there."""
    monkeypatch.setattr(viewer, "niivue", lambda: "/* NiiVue */")


def section(case: ViewedCase, *, opened: bool = False) -> str:
    return str(viewer.viewer_section(packed(case), opened=opened))


def content(section: str) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json">(.*?)</script>', section, re.DOTALL)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def image_of(packed: Mapping[str, Any]) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(packed["nifti"])))


@pytest.mark.usefixtures("_script")
def test_the_section_holds_images_and_masks_in_their_place(
    case: PreparedCase, masks: np.ndarray
) -> None:
    held = content(section(viewed("p1", case, REGIONS, mask=masks, truth=~masks)))
    assert [image["name"] for image in held["images"]] == ["FLAIR", "T1", "T1CE", "T2"]
    normalised = case.image[3].astype(np.float32)
    raw = normalised * case.normalisation.std[3] + case.normalisation.mean[3]
    image = image_of(held["images"][0])
    written = np.asarray(image.dataobj).T[:, ::-1, ::-1]
    # Nothing outside the head is cut from this case, as its box is the head's.
    assert written.shape == raw.shape
    off = np.abs(written - raw)[normalised != 0]
    assert np.quantile(off, 0.99) <= viewed("", case).images[0].levels.error * 1.01
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    kinds = {layer["kind"]: np.asarray(image_of(layer).dataobj).T for layer in held["layers"]}
    for kind, expected in (("mask", masks), ("truth", ~masks)):
        bits = kinds[kind][:, ::-1, ::-1]
        for index, region in enumerate(expected):
            assert ((bits.astype(int) >> index & 1) == region).all()


@pytest.mark.usefixtures("_script")
def test_regions_have_the_pictures_colours_and_the_truth_pale_ones(
    case: PreparedCase, masks: np.ndarray
) -> None:
    held = content(section(viewed("p1", case, REGIONS, mask=masks, truth=masks)))
    for layer in held["layers"]:
        for region in layer["regions"]:
            paint = colour(region["index"])[1]
            shown = pale(paint) if layer["kind"] == "truth" else paint
            assert tuple(region["colour"]) == shown
            assert region["size"] == masks[region["index"]].sum()


@pytest.mark.usefixtures("_script")
def test_probabilities_are_one_volume_per_region(case: PreparedCase, masks: np.ndarray) -> None:
    shares = masks * np.float32(0.7)
    held = content(section(viewed("p1", case, REGIONS, probabilities=shares)))
    assert held["layers"] == [] and len(held["probabilities"]) == 2
    image = np.asarray(image_of(held["probabilities"][1]).dataobj).T[:, ::-1, ::-1]
    assert np.abs(image - shares[1]).max() < 0.003


HOSTILE = "</script><script>alert(1)</script>\"'&<!-- ü"


@pytest.mark.usefixtures("_script")
def test_no_name_breaks_out_of_its_place(case: PreparedCase, masks: np.ndarray) -> None:
    text = section(viewed(HOSTILE, case, (HOSTILE, "b"), mask=masks))
    assert text.count("<script") == text.count("</script>") == 1
    assert "alert(1)</script>" not in text and "<!--" not in text
    assert content(text)["title"] == HOSTILE
    assert text.count("&lt;/script&gt;") >= 4


@pytest.mark.usefixtures("_script")
def test_more_regions_than_a_byte_has_bits_are_in_layers(case: PreparedCase) -> None:
    many = np.zeros((11, *case.image.shape[1:]), np.uint8)
    many[10, 3, 4, 5] = 1
    held = content(section(viewed("p1", case, [f"r{n}" for n in range(11)], mask=many)))
    assert [[r["index"] for r in layer["regions"]] for layer in held["layers"]] == [
        [*range(8)],
        [8, 9, 10],
    ]


@pytest.mark.usefixtures("_script")
@pytest.mark.parametrize(
    ("unit", "said"), [("mm", "patient's right is on the left"), ("px", "state no orientation")]
)
def test_the_notes_say_what_is_not_as_in_the_files(unit: Any, said: str) -> None:
    geometry = geometry_of((4, 5, 6), np.eye(4), unit=unit)
    box = Box((0, 0, 0), geometry.canonical_shape)
    exact = ViewedImage("T1", grey_levels(np.ones(box.shape, np.uint8)))
    rounded = ViewedImage("T2", grey_levels(np.arange(120.0).reshape(box.shape)))
    text = str(section(ViewedCase("p", [exact, rounded], geometry, box)))
    assert said in text.replace("&#39;", "'")
    assert "off by up to: T2 0.23" in text
    assert "255 steps" not in section(ViewedCase("p", [exact], geometry, box))


@pytest.mark.usefixtures("_script")
def test_what_would_make_the_page_too_large_is_left_out_and_named(
    case: PreparedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fitting, kept, left_out in (
        (2.5, ["FLAIR", "T1"], "T1CE, T2"),
        (0.5, ["FLAIR"], "T1, T1CE, T2"),
    ):
        monkeypatch.setattr(viewer, "MOST_VOXELS", int(case.image[0].size * fitting))
        text = section(viewed("p1", case))
        assert [image["name"] for image in content(text)["images"]] == kept
        assert f"Left out, as the page would be too large: {left_out}." in text


@pytest.mark.usefixtures("_script")
def test_a_section_may_start_with_the_page(case: PreparedCase) -> None:
    assert section(viewed("p1", case), opened=True).startswith('<details class="viewer" open>')
    assert section(viewed("p1", case)).startswith('<details class="viewer">')


def test_without_niivue_one_sentence_says_so(
    case: PreparedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "niivue", lambda: None)
    assert viewer.viewer_script() is None
    assert page_viewer(packed(viewed("p1", case))) == viewer.ABSENT


@pytest.mark.usefixtures("_script")
def test_a_page_is_given_all_that_the_section_needs(case: PreparedCase) -> None:
    whole = packed(viewed("p1", case))
    given = page_viewer(whole, opened=True)
    assert isinstance(given, Viewer)
    assert given.markup == viewer.viewer_section(whole, opened=True)
    assert given.scripts == (viewer.viewer_script(),) and given.styles == (viewer.viewer_style(),)


@pytest.mark.usefixtures("_script")
def test_nothing_in_script_or_style_ends_its_element() -> None:
    script = viewer.viewer_script()
    assert script is not None and script.startswith("/* NiiVue */")
    own = assets.niivue() or ""
    assert "</script" not in (script + own).lower() and "<!--" not in script + own
    assert "</style" not in viewer.viewer_style()


def test_what_does_not_fit_is_refused(case: PreparedCase, masks: np.ndarray) -> None:
    shape = tuple(case.image.shape[1:])
    refused: Sequence[tuple[dict[str, Any], str]] = [
        ({"mask": masks[:1]}, "the mask has the shape"),
        ({"probabilities": masks[:1]}, "the probabilities has the shape"),
    ]
    for given, message in refused:
        with pytest.raises(InputError, match=message):
            viewed("p1", case, REGIONS, **given)
    with pytest.raises(InputError, match="one grid"):
        viewed("p1", case, REGIONS, truth=masks[:, 1:])
    box = Box((0, 0, 0), (shape[0], shape[1], shape[2]))
    with pytest.raises(InputError, match="no image"):
        ViewedCase("p1", [], case.geometry, box)
    with pytest.raises(InputError, match="T1 has the shape"):
        ViewedCase("p1", [ViewedImage("T1", grey_levels(np.ones((1, 2, 3))))], case.geometry, box)


@pytest.mark.realdata
@pytest.mark.usefixtures("_script")
def test_a_page_of_four_images_mask_and_truth_is_small(brats_dir: Path) -> None:
    case = brats_case(brats_dir / "BraTS19_2013_10_1")
    assert case.labels is not None and len(case.modalities) == 4
    truth = region_masks(case.labels, {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)})
    mask = np.roll(truth, 2, axis=3)
    shown = viewed("case", case, ("WT", "TC", "ET"), mask=mask, truth=truth)
    # NiiVue itself is 2.3 MB more.
    assert len(section(shown)) < 9 * MEGABYTE
    # 0.3 % of the range: less than the noise of the scan.
    for image in shown.images:
        low, high = image.levels.window
        assert image.levels.error < 0.005 * (high - low)
