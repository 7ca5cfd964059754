"""The page of ``mriseg annotate`` in a real browser: what is drawn is saved, and no edit is lost.

What was saved is read back over HTTP, as another tab would.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from mriseg.backends import Backend
from mriseg.io.assets import niivue
from mriseg.io.runs import Run
from tests.annotation.sessions import Client, drawn, open_page, painting, prepared, session_of
from tests.browser import Opened, chromium, opened


@pytest.fixture(scope="module")
def session(
    brats_source: Path, trained: Run, cpu: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """Four phantoms; the mask of the last of the queue is three balls, one in another."""
    queue = prepared(session_of(brats_source, trained, tmp_path_factory.mktemp("session")), cpu)
    with open_page(queue) as client:
        id_ = client.queue()[-1]["id"]
        before, revision = client.mask(id_)
        assert client.save(id_, drawn(before, balls), revision).status == 200
        yield client


def balls(voxels: np.ndarray) -> None:
    """Paints nested regions in the middle, to the patient's right of it."""
    grid = np.ogrid[tuple(slice(0, n) for n in voxels.shape)]
    centre = np.multiply(voxels.shape, (0.65, 0.45, 0.5))
    distance = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) ** 0.5
    voxels[...] = np.select([distance < 2, distance < 4, distance < 6], [3, 2, 1], 0)


@pytest.fixture(scope="module")
def case(session: Client) -> str:
    """The id of the case with the balls."""
    return next(str(row["id"]) for row in session.queue() if row["status"] == "corrected")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if niivue() is None:
        pytest.skip("the viewer was not fetched (scripts/viewer)")
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def once(browser: Any, session: Client) -> Iterator[Opened]:
    with opened(browser, session.address, 1000, 600) as state:
        state.page.wait_for_selector("body[data-ready]")
        yield state
        # Whatever the tests did, it asked its own server alone and complained about nothing.
        assert all(request.startswith((session.address, "data:")) for request in state.requests)
        assert state.complaints == []


@pytest.fixture
def tab(once: Opened, case: str) -> Opened:
    """The page with the case of the balls, as that was saved last."""
    again(once, case)
    return once


def again(tab: Opened, id_: str) -> None:
    """Open a case from its saved mask."""
    settle(tab)
    tab.page.uncheck("[name=advance]")
    tab.page.evaluate(
        "async (id) => { const { desk, queue, stage } = annotate; desk.theirs = null;"
        " stage.history?.saved(); sessionStorage.clear(); await desk.open(id); }",
        id_,
    )
    settle(tab)


def settle(tab: Opened) -> None:
    """Wait until what was asked for is done and drawn."""
    tab.page.wait_for_function(
        "() => !annotate.desk.busy && !annotate.panel.asking && !annotate.stage.waiting.size"
    )


def kept(session: Client, case: str) -> np.ndarray:
    """The mask as the server has it, [x, y, z] to the right, front and top."""
    return np.asarray(session.mask(case)[0].dataobj)


def status(session: Client, id_: str) -> str:
    return next(str(row["status"]) for row in session.queue() if row["id"] == id_)


def shown(tab: Opened, besides: str) -> str:
    """The id of the case that is open, once it is another one."""
    tab.page.wait_for_selector(f"body[data-ready]:not([data-ready='{besides}'])")
    settle(tab)
    return str(tab.page.get_attribute("body", "data-ready"))


def drawing(tab: Opened) -> np.ndarray:
    """NiiVue's drawing, likewise."""
    digits, dims = tab.page.evaluate("[annotate.stage.bitmap.join(''), annotate.stage.dims]")
    return (np.frombuffer(digits.encode(), np.uint8) - 48).reshape(dims, order="F")


def at(tab: Opened, right: float, down: float) -> tuple[float, float]:
    """A place on the stage, in shares of it."""
    box = tab.page.locator("#scan").bounding_box()
    return box["x"] + right * box["width"], box["y"] + down * box["height"]


def drag(tab: Opened, *places: tuple[float, float]) -> None:
    mouse = tab.page.mouse
    mouse.move(*at(tab, *places[0]))
    mouse.down()
    for place in places[1:]:
        mouse.move(*at(tab, *place), steps=3)
    mouse.up()
    settle(tab)


def press(tab: Opened, *keys: str) -> None:
    for key in keys:
        tab.page.keyboard.press(key)
        settle(tab)


def banner(tab: Opened) -> str:
    tab.page.wait_for_selector(".banner")
    return str(tab.page.inner_text("#banners"))


def test_the_queue_is_listed_and_its_case_is_drawn(
    once: Opened, session: Client, case: str
) -> None:
    page = once.page
    rows = session.queue()
    assert page.get_attribute("body", "data-ready") == rows[0]["id"] != case
    names = page.eval_on_selector_all(".entry b", "all => all.map((each) => each.textContent)")
    assert names == [row["name"] for row in rows if row["status"] == "open"]
    again(once, case)
    assert page.inner_text("#case-name") == rows[-1]["name"]
    assert page.inner_text("#case-status").startswith("corrected by ann, ")
    assert "of 4 done" in page.inner_text("#progress")
    shares = page.evaluate(
        "() => { const { canvas, nv } = annotate.stage; annotate.stage.draw();"
        " const { gl } = nv; const { width, height } = canvas;"
        " const all = new Uint8Array(4 * width * height);"
        " gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, all);"
        " let [grey, orange] = [0, 0]; for (let n = 0; n < all.length; n += 4) {"
        " const [r, g, b] = all.subarray(n, n + 3); if (r > 60 && r === g && g === b) grey++;"
        " if (r - b > 50) orange++; } return [grey, orange].map((n) => n / width / height); }"
    )
    assert shares[0] > 0.1 and shares[1] > 0.005


def test_what_the_pen_draws_is_saved_voxel_by_voxel(
    tab: Opened, session: Client, case: str
) -> None:
    before = kept(session, case)
    press(tab, "p")
    # To the right and up in the axial plane: the patient's left, in front.
    drag(tab, (0.4, 0.25), (0.45, 0.25))
    after = drawing(tab)
    changed = np.argwhere(after != before)
    assert len(changed) > 10 and (after[tuple(changed.T)] == 1).all()
    assert tab.page.inner_text("#dirty") == "unsaved edits"
    affine = session.mask(case)[0].affine
    world = affine @ [*changed.mean(axis=0), 1]
    middle = affine @ [*np.divide(after.shape, 2), 1]
    assert world[0] < middle[0] - 3 and world[1] > middle[1] + 3
    assert len(set(changed[:, 2])) == 1
    press(tab, "s")
    tab.page.wait_for_selector("#dirty", state="hidden")
    assert (kept(session, case) == after).all()
    assert status(session, case) == "corrected"


def test_eraser_fill_outline_undo_and_redo(tab: Opened, session: Client, case: str) -> None:
    start = drawing(tab)
    press(tab, "o")
    ring = [(0.2, 0.2), (0.35, 0.2), (0.35, 0.35), (0.2, 0.35), (0.2, 0.2)]
    drag(tab, *ring)
    outlined = drawing(tab)
    added = (outlined == 1) & (start != 1)
    assert added.sum() > 30
    # What an outline closes has no hole.
    plane = added.any(axis=(0, 1)).argmax()
    both = added[..., plane] | (start[..., plane] > 0)
    assert (ndimage.binary_fill_holes(both) == both).all()
    press(tab, "z")
    assert (drawing(tab) == start).all() and tab.page.is_hidden("#dirty")
    press(tab, "y")
    assert (drawing(tab) == outlined).all()
    # Fill gives what is connected another label; where nothing is closed, nothing happens.
    press(tab, "r", "f")
    tab.page.mouse.click(*at(tab, 0.22, 0.22))
    settle(tab)
    filled = drawing(tab)
    pieces, _ = ndimage.label(outlined[..., plane] == 1)
    turned = np.argwhere((filled != outlined)[..., plane])
    assert len(turned) and (filled[..., plane][tuple(turned.T)] == 2).all()
    piece = pieces[tuple(turned[0])]
    assert ((pieces == piece) == (filled != outlined)[..., plane]).all()
    tab.page.mouse.click(*at(tab, 0.05, 0.06))
    settle(tab)
    assert (drawing(tab) == filled).all()
    assert "nothing was filled" in tab.page.inner_text("#notice")
    press(tab, "Shift+R", "e")
    drag(tab, (0.22, 0.22), (0.33, 0.33))
    erased = drawing(tab)
    gone = erased != filled
    assert gone.sum() > 5 and (erased[gone] == 0).all()
    press(tab, "z", "z", "z")
    assert (drawing(tab) == start).all()


def test_the_threshold_gives_what_is_above_it_and_asks_before_it_replaces(
    tab: Opened, session: Client, case: str
) -> None:
    paths = [f"api/cases/{case}/probability/{index}.nii.gz" for index in range(3)]
    maps = [session.ask(path).image.dataobj.get_unscaled() for path in paths]
    # Some voxel is exactly at the threshold, which is not above it.
    level = next(t for t in (0.2, 0.4, 0.6, 0.8) if (np.asarray(maps[0]) == round(255 * t)).any())
    press(tab, "p")
    drag(tab, (0.4, 0.3), (0.42, 0.3))
    edited = drawing(tab)
    press(tab, "t")
    slider = "annotate.panel.control('threshold')"
    move = (
        f"(value) => {{ {slider}.value = value; for (const name of ['input', 'change'])"
        f" {slider}.dispatchEvent(new Event(name, {{ bubbles: true }})); }}"
    )
    tab.page.evaluate(move, level)
    tab.page.get_by_role("button", name="Keep my edits").click()
    settle(tab)
    assert (drawing(tab) == edited).all()
    tab.page.evaluate(move, level)
    tab.page.get_by_role("button", name="Replace them").click()
    tab.page.wait_for_function("() => annotate.panel.maps && !annotate.panel.commits")
    thresholds = [level, *session.ask(f"api/cases/{case}").json["thresholds"][1:]]
    expected = np.zeros(edited.shape)
    for index, (share, least) in enumerate(zip(maps, thresholds, strict=True)):
        expected[np.asarray(share) / 255 > least] = index + 1
    assert (drawing(tab) == expected).all() and len(np.unique(expected)) > 1
    press(tab, "z")
    assert (drawing(tab) == edited).all()


def test_accept_skip_and_reopen_by_keys(tab: Opened, session: Client, case: str) -> None:
    first = next(row["id"] for row in session.queue() if row["status"] == "open")
    again(tab, first)
    tab.page.check("[name=advance]")
    tab.page.focus("#scan")
    press(tab, "a")
    second = shown(tab, besides=first)
    assert (status(session, first), status(session, second)) == ("accepted", "open")
    press(tab, "k")
    shown(tab, besides=second)
    assert status(session, second) == "skipped"
    again(tab, second)
    press(tab, "Shift+K")
    tab.page.wait_for_selector("#case-status.open")
    assert status(session, second) == "open"
    assert tab.page.inner_text("#progress") == "2 of 4 done: 1 corrected, 1 accepted"
    press(tab, "q")
    assert tab.page.locator(".entry").count() == 2


def test_a_tab_that_saves_second_loses_nothing(tab: Opened, session: Client, case: str) -> None:
    before, revision = session.mask(case)
    press(tab, "p")
    drag(tab, (0.42, 0.4), (0.45, 0.42))
    mine = drawing(tab)
    assert session.save(case, drawn(before, painting((slice(3),) * 3, 2)), revision).status == 200
    theirs = kept(session, case)
    assert (theirs != np.asarray(before.dataobj)).any()
    press(tab, "s")
    assert "saved this case" in banner(tab) and "Your edits are not saved" in banner(tab)
    assert (kept(session, case) == theirs).all() and (drawing(tab) == mine).all()
    tab.page.get_by_role("button", name="Look at theirs").click()
    settle(tab)
    assert (drawing(tab) == theirs).all()
    drag(tab, (0.4, 0.4), (0.41, 0.42))
    press(tab, "s", "z")
    assert (drawing(tab) == theirs).all() and (kept(session, case) == theirs).all()
    tab.page.get_by_role("button", name="Back to mine").click()
    assert (drawing(tab) == mine).all()
    # Two steps: this one asks for the second, and nothing has been replaced.
    assert (kept(session, case) == theirs).all()
    tab.page.get_by_role("button", name="Replace theirs with mine").click()
    tab.page.wait_for_selector(".banner", state="detached")
    assert (kept(session, case) == mine).all()
    tab.complaints[:] = [text for text in tab.complaints if "409" not in text]


def test_edits_survive_a_failed_save_another_case_and_a_reload(
    tab: Opened, session: Client, case: str
) -> None:
    page, before = tab.page, kept(session, case)
    page.route(
        "**/mask?status=corrected",
        lambda route: route.fulfill(status=507, json={"error": "The disk is full."}),
    )
    press(tab, "p")
    drag(tab, (0.3, 0.5), (0.35, 0.5))
    mine = drawing(tab)
    press(tab, "s")
    assert "The disk is full. Your edits are kept here." in banner(tab)
    page.unroute("**/mask?status=corrected")
    press(tab, "b")
    assert page.inner_text("#question h2") == "Leave unsaved edits?"
    page.get_by_role("button", name="Keep as a draft").click()
    shown(tab, besides=case)
    page.evaluate("(id) => annotate.desk.open(id)", case)
    settle(tab)
    assert (drawing(tab) == mine).all() and "were restored" in banner(tab)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    page.wait_for_selector(f"body[data-ready='{case}']")
    assert asked == ["beforeunload"]
    settle(tab)
    assert (drawing(tab) == mine).all() and (kept(session, case) == before).all()
    press(tab, "z")
    assert (drawing(tab) == before).all()
    tab.complaints[:] = [text for text in tab.complaints if "507" not in text]


def test_a_server_that_stopped_is_said(tab: Opened) -> None:
    press(tab, "p")
    drag(tab, (0.3, 0.5), (0.35, 0.5))
    mine = drawing(tab)
    tab.page.route("**/api/**", lambda route: route.abort())
    press(tab, "s")
    assert "mriseg annotate was stopped; your unsaved edits are kept in this tab" in banner(tab)
    assert (drawing(tab) == mine).all()
    tab.page.unroute("**/api/**")
    tab.page.wait_for_selector("[data-key=gone]", state="detached", timeout=15_000)
    tab.complaints[:] = [text for text in tab.complaints if "ERR_FAILED" not in text]


def test_learning_is_followed_and_its_verdict_is_said(tab: Opened) -> None:
    page, state = tab.page, {"state": "none", "corrected": 3, "needed": 2}
    show = "(state) => annotate.improve.set(state)"
    page.evaluate(show, state)
    page.locator("#improve").get_by_role("button", name="Train on them").click()
    assert "The old model is kept" in page.inner_text("#question")
    page.get_by_role("button", name="Not now").click()
    state |= {"state": "running", "stage": "epoch 3 of 20", "done": 3, "total": 20}
    page.evaluate(show, {**state, "seconds_left": 340})
    assert "epoch 3 of 20 · about 6 min left" in page.inner_text("#improve")
    assert page.get_attribute("#improve progress", "value") == "3"
    assert page.locator("#improve").get_by_role("button", name="Cancel").count() == 1
    verdict = "The new model is better on 4 cases that it had not seen."
    state |= {"state": "done", "verdict": verdict, "better": True, "new": "runs/new"}
    page.evaluate(show, {**state, "page": "javascript:alert(1)"})
    assert verdict in page.inner_text("#improve .good")
    assert page.locator("#improve a").count() == 0
    page.evaluate(show, {**state, "page": "compare/"})
    assert page.get_attribute("#improve a", "href") == "compare/"


def test_every_control_has_a_name_and_every_key_is_listed(tab: Opened) -> None:
    page = tab.page
    nameless = page.evaluate(
        "Array.from(document.querySelectorAll('button, input, select')).filter((control) =>"
        " !(control.textContent.trim() || control.ariaLabel ||"
        " control.labels?.[0]?.textContent.trim())).map((control) => control.outerHTML)"
    )
    assert nameless == []
    assert "question mark lists all keys" in page.get_attribute("#scan", "aria-label")
    page.focus("#scan")
    press(tab, "?")
    listed = page.inner_text("#keys")
    actions = page.eval_on_selector_all("[data-do]", "all => all.map((each) => each.dataset.do)")
    known = page.evaluate(
        "async () => (await import(`${location.pathname}static/keys.js`)).KEYS"
        ".flatMap(([, rows]) => rows.map((row) => row[1]))"
    )
    assert set(actions) - {"model-threshold"} <= set(known)
    for meaning in ("Accept the mask as it is", "Hide the mask while held", "Undo", "Pen"):
        assert meaning in listed
    press(tab, "Escape")
    # Space hides the mask while it is held, and nothing else.
    page.keyboard.down(" ")
    assert page.evaluate("annotate.stage.nv.drawOpacity") == 0
    page.keyboard.up(" ")
    assert page.evaluate("annotate.stage.nv.drawOpacity") > 0.1


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(tab: Opened, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 720})
    settle(tab)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    tab.page.set_viewport_size({"width": 1000, "height": 600})
