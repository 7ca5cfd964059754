"""The viewer in a real browser: it draws, moves, counts voxels, knows left from right.

It opens from its file, under a content security policy as strict as that of the pages.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mriseg.core.orientation import geometry_of
from mriseg.core.prepare import PreparedCase, prepare
from mriseg.core.regions import region_masks
from mriseg.report.viewer import (
    ViewedCase,
    packed,
    viewed,
    viewer_script,
    viewer_section,
    viewer_style,
)
from tests.browser import Opened, chromium, opened
from tests.report.cases import brats_case

REGIONS = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
_POLICY = "default-src 'none'; script-src 'nonce-n'; style-src 'nonce-n'; img-src data:"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if viewer_script() is None:
        pytest.skip("the viewer was not fetched (scripts/viewer)")
    with chromium() as started:
        yield started


def page_of(file: Path, *cases: ViewedCase) -> Path:
    """A page as reports are: one style, the sections, one script."""
    sections = "".join(viewer_section(packed(case)) for case in cases)
    file.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>p</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<style nonce="n">{viewer_style()}</style></head><body>{sections}'
        f'<script nonce="n">{viewer_script()}</script></body></html>',
        encoding="utf-8",
    )
    return file


# Shape of the phantom in canonical axes; a block at the patient's left, where x is large.
_SHAPE = (20, 36, 30)
_BLOCK = (slice(8, 13), slice(12, 20), slice(20, 26))


@pytest.fixture(scope="module")
def phantom() -> PreparedCase:
    """A dim head with one bright block in it on the patient's left, in a file that runs RAS."""
    head = np.zeros(_SHAPE)
    head[2:18, 3:33, 3:27] = np.random.default_rng(4).uniform(100, 160, (16, 30, 24))
    head[_BLOCK] = 300
    labels = np.zeros(_SHAPE, np.uint8)
    labels[_BLOCK] = 2
    labels[9:12, 14:18, 21:25] = 1
    # Canonical x runs to the left and y to the back: RAS is both reversed.
    ras = {name: image[:, ::-1, ::-1].T for name, image in (("T1", head), ("FLAIR", head * 1.5))}
    return prepare(ras, labels[:, ::-1, ::-1].T, geometry_of(_SHAPE[::-1], np.eye(4)))


@pytest.fixture(scope="module")
def masks(phantom: PreparedCase) -> np.ndarray:
    assert phantom.labels is not None
    return region_masks(phantom.labels, REGIONS)


@pytest.fixture(scope="module")
def once(
    browser: Any,
    phantom: PreparedCase,
    masks: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Opened]:
    """The phantom's page with everything in it, opened once."""
    case = viewed(
        "phantom", phantom, tuple(REGIONS), mask=masks, truth=masks, probabilities=masks * 0.5
    )
    file = page_of(tmp_path_factory.mktemp("page") / "phantom.html", case)
    with opened(browser, file, 640, 640) as state:
        start(state)
        yield state
        # What the tests did raised no error and asked for nothing else.
        assert state.requests == [file.as_uri()]
        assert state.complaints == []


@pytest.fixture
def shared(once: Opened) -> Opened:
    """That page as it was when it had opened."""
    once.page.evaluate(
        "() => { const form = document.querySelector('form'); form.reset();"
        " for (const name of ['image', 'planes']) form.elements[name]"
        ".dispatchEvent(new Event('input', { bubbles: true }));"
        " form.elements.focus.click(); }"
    )
    settle(once)
    return once


def start(state: Opened) -> None:
    state.page.click("summary")
    state.page.wait_for_selector(".viewer[data-ready]", timeout=60_000)
    settle(state)


def settle(state: Opened) -> None:
    """Wait until what was asked for is drawn."""
    state.page.evaluate("() => new Promise(requestAnimationFrame)")
    state.page.wait_for_function("() => !document.querySelector('details').viewer.pending")
    state.page.evaluate("() => new Promise((done) => setTimeout(done, 150))")


def pixels(state: Opened) -> np.ndarray:
    """What the stage shows, [y, x, rgb]."""
    shot = state.page.locator(".viewer-stage").screenshot()
    with Image.open(io.BytesIO(shot)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def voxels(state: Opened, name: str) -> np.ndarray:
    """The bytes of a volume in NiiVue that has that name."""
    code = (
        "(name) => Array.from(document.querySelector('details').niivue.volumes"
        ".find((volume) => volume.name.startsWith(name)).img)"
    )
    return np.array(state.page.evaluate(code, name))


def spoken(state: Opened) -> str:
    return str(state.page.inner_text("output"))


def set_to(state: Opened, name: str, value: int) -> None:
    state.page.eval_on_selector(
        f"[name={name}]",
        "(control, value) => { control.value = value;"
        " control.dispatchEvent(new Event('input', { bubbles: true })); }",
        str(value),
    )
    settle(state)


def test_the_volume_is_drawn_with_its_letters(shared: Opened) -> None:
    drawn = pixels(shared)
    assert drawn.std() > 10
    # Three planes and 3-D: something in each quarter.
    h, w = drawn.shape[0] // 2, drawn.shape[1] // 2
    for rows in (slice(0, h), slice(h, None)):
        for columns in (slice(0, w), slice(w, None)):
            assert (drawn[rows, columns].max(axis=2) > 60).mean() > 0.02


def test_the_mask_has_exactly_its_voxels(shared: Opened, masks: np.ndarray) -> None:
    for kind in ("mask", "truth"):
        bits = voxels(shared, kind)
        for index, mask in enumerate(masks):
            assert np.count_nonzero(bits >> index & 1) == np.count_nonzero(mask)
    shape = shared.page.evaluate("document.querySelector('details').viewer.case.shape")
    bits = voxels(shared, "mask").reshape(shape)[:, ::-1, ::-1]
    assert ((bits & 1) == masks[0]).all()


def test_the_cross_starts_in_the_lesion_and_keys_move_it(shared: Opened) -> None:
    first = spoken(shared)
    assert "mask: WT" in first and "truth: WT" in first
    numbers = [shared.page.input_value(f"[name={name}]") for name in ("axial", "sagittal")]
    shared.page.focus("canvas")
    for key, name, step in (
        ("PageUp", "axial", 1),
        ("ArrowLeft", "sagittal", -1),
        ("ArrowUp", "coronal", -1),
    ):
        before = int(shared.page.input_value(f"[name={name}]"))
        shared.page.keyboard.press(key)
        assert int(shared.page.input_value(f"[name={name}]")) == before + step
        assert f"{name} {before + step}" in spoken(shared)
    shared.page.click("[name=focus]")
    again = [shared.page.input_value(f"[name={name}]") for name in ("axial", "sagittal")]
    assert (spoken(shared), again) == (first, numbers)


def test_arrow_keys_turn_the_head_in_3d(shared: Opened) -> None:
    shared.page.select_option("[name=planes]", "4")
    settle(shared)
    before, place = pixels(shared), spoken(shared)
    shared.page.focus("canvas")
    shared.page.keyboard.press("Shift+ArrowLeft")
    settle(shared)
    assert np.abs(pixels(shared) - before).mean() > 1
    assert spoken(shared) == place


def test_slices_are_numbered_as_in_the_pictures(shared: Opened, phantom: PreparedCase) -> None:
    # The whole of the head is inside; the scan has three empty rows before it.
    assert phantom.box.start == (2, 3, 3)
    for name, start, stop in zip(
        ("axial", "coronal", "sagittal"), phantom.box.start, phantom.box.stop, strict=True
    ):
        slider = shared.page.locator(f"[name={name}]")
        assert (slider.get_attribute("min"), slider.get_attribute("max")) == (
            str(start),
            str(stop - 1),
        )
    for name, place in zip(("axial", "coronal", "sagittal"), (10, 16, 23), strict=True):
        set_to(shared, name, place)
    assert spoken(shared).startswith("axial 10, coronal 16, sagittal 23")
    # (z, y, x) of the canonical volume is (i, j, k) = (29 - 23, 35 - 16, 10) of the RAS file.
    assert "RAS 6.0, 19.0, 10.0 mm" in spoken(shared)
    assert "mask: WT, TC" in spoken(shared)


def test_the_patients_left_is_on_the_viewers_right(shared: Opened) -> None:
    shared.page.select_option("[name=planes]", "0")
    shared.page.uncheck("[name=mask]")
    shared.page.uncheck("[name=truth]")
    settle(shared)
    # Its round corners show the page.
    drawn = pixels(shared)[12:-12, 12:-12]
    bright = (drawn.min(axis=2) > 200) & (np.ptp(drawn, axis=2) < 20)
    head = drawn.max(axis=2) > 10
    middle = np.argwhere(head)[:, 1].mean()
    # Letters are thin: the block is what has bright neighbours all around.
    solid = bright & np.roll(bright, 9, 0) & np.roll(bright, 9, 1)
    assert solid.sum() > 200
    assert np.argwhere(solid)[:, 1].min() > middle


def coloured(drawn: np.ndarray) -> int:
    """How many pixels have a colour that no scan has and the cross (blue) has not."""
    return int((drawn[..., 0] - drawn[..., 2] > 40).sum())


def test_mask_and_opacity_change_the_picture_and_not_the_voxels(
    shared: Opened, masks: np.ndarray
) -> None:
    shared.page.uncheck("[name=truth]")
    set_to(shared, "mask-opacity", 90)
    strong = coloured(pixels(shared))
    set_to(shared, "mask-opacity", 0)
    assert strong > 500 and coloured(pixels(shared)) < strong / 20
    set_to(shared, "mask-opacity", 90)
    shared.page.uncheck("[name=mask]")
    settle(shared)
    assert coloured(pixels(shared)) < strong / 20
    assert "mask:" not in spoken(shared)
    shared.page.check("[name=mask]")
    settle(shared)
    assert np.count_nonzero(voxels(shared, "mask")) == np.count_nonzero(masks[0])
    # A region by itself, as others hide.
    shared.page.uncheck("[name=region] >> nth=0")
    settle(shared)
    assert np.count_nonzero(voxels(shared, "mask")) == np.count_nonzero(masks[1])


def test_another_image_and_a_probability_are_shown(shared: Opened) -> None:
    assert " FLAIR " in spoken(shared)
    shared.page.select_option("[name=image]", label="T1")
    shared.page.select_option("[name=probability]", label="TC")
    settle(shared)
    assert " T1 " in spoken(shared) and "probability 0." in spoken(shared)
    names = shared.page.evaluate(
        "document.querySelector('details').niivue.volumes.map((volume) => volume.name)"
    )
    assert names[:2] == ["image 1.nii.gz", "probability 1.nii.gz"] and len(names) == 4


def test_the_wheel_scrolls_the_page_until_the_picture_was_clicked(shared: Opened) -> None:
    page = shared.page
    page.locator("summary").focus()
    page.evaluate("document.body.style.minHeight = '4000px'")
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    before = spoken(shared)
    page.mouse.wheel(0, 100)
    page.wait_for_function("() => window.scrollY > 0")
    assert spoken(shared) == before
    page.evaluate("window.scrollTo(0, 0)")
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    clicked = spoken(shared)
    page.mouse.wheel(0, 100)
    page.wait_for_function(
        "(before) => document.querySelector('output').textContent !== before", arg=clicked
    )
    assert page.evaluate("window.scrollY") == 0


def test_every_control_has_a_name(shared: Opened) -> None:
    nameless = shared.page.evaluate(
        "Array.from(document.querySelectorAll('.viewer-controls :is(input, select)'))"
        ".filter((control) => !control.labels?.[0]?.textContent.trim()).length"
    )
    assert nameless == 0
    assert "Arrow keys" in shared.page.get_attribute("canvas", "aria-label")
    assert shared.page.get_attribute("output", "aria-live") == "polite"


def test_a_single_slice_is_shown_in_its_own_plane(browser: Any, tmp_path: Path) -> None:
    image = np.random.default_rng(5).uniform(100, 160, (24, 30, 1))
    image[:2] = image[-2:] = 0
    labels = np.zeros(image.shape, np.uint8)
    labels[15:18, 20:24] = 1
    # Sagittal: its axes run to the front and up.
    affine = np.array([[0.0, 0, 1, 7], [1, 0, 0, -9], [0, 1, 0, 3], [0, 0, 0, 1]])
    case = prepare({"T1": image}, labels, geometry_of(image.shape, affine, ndim=2))
    assert case.labels is not None
    shown = viewed("slice", case, ("lesion",), truth=case.labels[None] > 0)
    file = tmp_path / "page.html"
    page_of(file, shown)
    with opened(browser, file, 640, 640) as state:
        start(state)
        assert state.page.input_value("[name=planes]") == "2"
        assert "truth: lesion" in spoken(state) and "RAS 7.0, " in spoken(state)
        assert (pixels(state).max(axis=2) > 40).mean() > 0.3
        assert state.complaints == []


@pytest.mark.slow
def test_many_viewers_end_the_first(browser: Any, phantom: PreparedCase, tmp_path: Path) -> None:
    cases = [viewed(f"case {number}", phantom) for number in range(9)]
    with opened(browser, page_of(tmp_path / "many.html", *cases)) as state:
        for number in range(9):
            state.page.locator("summary").nth(number).click()
            state.page.locator(".viewer").nth(number).and_(
                state.page.locator("[data-ready]")
            ).wait_for(timeout=60_000)
        ready = [
            state.page.locator(".viewer").nth(number).get_attribute("data-ready")
            for number in range(9)
        ]
        assert ready == [None] + ["yes"] * 8
        assert state.page.locator(".viewer").first.get_attribute("open") is None
        state.page.locator("summary").first.click()
        state.page.locator(".viewer").first.and_(state.page.locator("[data-ready]")).wait_for()
        assert state.complaints == []


def test_without_webgl_the_section_says_so(
    browser: Any, phantom: PreparedCase, tmp_path: Path
) -> None:
    file = page_of(tmp_path / "page.html", viewed("p", phantom))
    with opened(browser, file) as state:
        state.page.evaluate("HTMLCanvasElement.prototype.getContext = () => null")
        state.page.click("summary")
        state.page.wait_for_selector(".viewer-error:not([hidden])")
        assert "WebGL 2" in state.page.inner_text(".viewer-error")


@pytest.mark.slow
@pytest.mark.realdata
def test_a_real_case_is_drawn(browser: Any, brats_dir: Path, tmp_path: Path) -> None:
    case = brats_case(brats_dir / "BraTS19_2013_10_1")
    assert case.labels is not None
    truth = region_masks(case.labels, REGIONS)
    page = page_of(
        tmp_path / "case.html",
        viewed("case", case, tuple(REGIONS), mask=np.roll(truth, 2, axis=3), truth=truth),
    )
    with opened(browser, page) as state:
        start(state)
        # Counted there: millions of numbers take long to come over.
        count = state.page.evaluate(
            "document.querySelector('details').niivue.volumes[2].img"
            ".reduce((count, bits) => count + (bits & 1), 0)"
        )
        assert count == np.count_nonzero(truth[0])
        assert pixels(state).std() > 20
        assert state.requests == [page.as_uri()] and state.complaints == []
