"""A page of `mriseg export web` in a real browser: its masks are those of `mriseg predict`.

It opens from its file, or its folder from a server on this machine, and asks for nothing else.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg import api
from mriseg.backends import reference_backend
from mriseg.core.deploy import Deployed
from mriseg.errors import ExportError
from mriseg.io import nifti
from mriseg.io.exporters import onnx
from mriseg.io.exporters.web import EXPORTER
from mriseg.io.exporters.web_page import part_files
from mriseg.io.runs import Run, create_run
from mriseg.recipes.export import deployed, describe
from mriseg.testing import phantoms
from tests.browser import Opened, chromium, opened
from tests.recipes.test_export import a_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("onnxruntime") is None or find_spec("onnxscript") is None,
        reason="onnxruntime or onnxscript is not installed (mriseg[onnx])",
    ),
]

_ALIKE = 1e-3
"""Of the mask's voxels, how many may differ from those of `mriseg predict`."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        part_files()
    except ExportError as error:
        pytest.skip(str(error))
    # WebGPU in software, which a page takes only if it is asked to.
    with chromium("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader") as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def one_model() -> Iterator[None]:
    """Writes a network's ONNX once, which takes half a minute."""
    known: dict[bytes, bytes] = {}
    export = onnx.EXPORTER.export

    def cached(network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        key = network.unchecked.network.head.weight.numpy().tobytes()
        if key not in known:
            export(network, metadata, path)
            known[key] = path.read_bytes()
        path.write_bytes(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx.EXPORTER, "export", cached)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that looks trained, on pixels of 1 mm."""
    folder = tmp_path_factory.mktemp("run")
    plain = a_run(folder / "plain")
    manifest = replace(plain.manifest, spacing=(1.0, 1.0), incomplete=True)
    spaced = create_run(folder / "20260102-101500-spaced", manifest)
    copy_weights(plain, spaced)
    return spaced


def copy_weights(run: Run, other: Run) -> None:
    for weights in run.path.glob("*.safetensors"):
        (other.path / weights.name).write_bytes(weights.read_bytes())


@pytest.fixture(scope="module")
def page(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page in one file."""
    return api.export(run, "web", tmp_path_factory.mktemp("page") / "a.html", single_file=True).path


@pytest.fixture(scope="module")
def folder(page: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page in a folder."""
    out = tmp_path_factory.mktemp("folder") / "model.web"
    return api.export(run, "web", out).path


def a_case(
    folder: Path, *, skull: bool = False, voxel: float = 1.0, orientation: str = "LAS"
) -> Path:
    """A phantom's T1 and FLAIR in files of those names."""
    rng = np.random.default_rng(3)
    images, _ = phantoms.head(rng, (10, 44, 36), modalities=("t1", "flair"))
    if skull:
        images = {name: image + rng.uniform(0, 30, image.shape) for name, image in images.items()}
    case = phantoms.write_brats_case(folder / "case", images, None, orientation=orientation)
    for path in case.iterdir():
        image = nib.load(path)
        affine = image.affine @ np.diag([voxel, voxel, 1, 1])
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)
    return case


def predicted(case: Path, run: Run | str, out: Path) -> Path:
    """The mask of `mriseg predict --no-flips --no-adapt --no-refine --precision fp32`."""
    options = api.PredictOptions(flips=False, adapt=False, refine=False, overlays=False)
    report = api.predict(case, out, run, options, backend=reference_backend())
    return report.results[0].mask


@contextmanager
def started(browser: Any, place: Path | str, *files: Path, width: int = 1000) -> Iterator[Opened]:
    """A page that is ready, with files in it."""
    with opened(browser, place, width) as state:
        state.page.wait_for_selector("body[data-ready]")
        give(state, *files)
        yield state


def give(state: Opened, *files: Path) -> None:
    if files:
        state.page.set_input_files("#files", [str(path) for path in files])
        # By selectors alone: the page's policy forbids what playwright evaluates to wait.
        state.page.wait_for_selector("#images tbody tr, #problems li")


def segmented(state: Opened, out: Path) -> Path:
    """The mask that the page makes of its files."""
    state.page.click("#start:not([disabled])")
    state.page.wait_for_selector("body[data-state=done], body[data-state=failed]", timeout=600_000)
    assert state.page.inner_text("#failed") == "", state.page.inner_text("#failed")
    with state.page.expect_download() as download:
        state.page.click("#download")
    download.value.save_as(out)
    return out


def share_differing(one: Path, other: Path) -> float:
    """Of the voxels of a mask, how many differ; the two must lie on one grid."""
    (mask, grid), (expected, own) = nifti.read(one), nifti.read(other)
    assert grid == own
    assert expected.any() and not expected.all()
    return float(np.count_nonzero(mask != expected) / np.count_nonzero(expected))


@pytest.mark.parametrize("how", [{}, {"skull": True}, {"voxel": 1.6, "orientation": "PIR"}])
def test_the_mask_is_that_of_predict(
    browser: Any, page: Path, run: Run, tmp_path: Path, how: dict[str, Any]
) -> None:
    case = a_case(tmp_path, **how)
    expected = predicted(case, run, tmp_path / "masks")
    with started(browser, page, *case.iterdir()) as state:
        mask = segmented(state, tmp_path / "mask.nii.gz")
        assert share_differing(mask, expected) <= _ALIKE
        assert ("resampled" in state.page.inner_text("#notices")) == ("voxel" in how)
        state.page.wait_for_selector(".viewer[data-ready]")
        for row in json.loads((expected.parent / "volumes.json").read_text(encoding="utf-8")):
            assert f"{row['region']}\n{row['volume']:.1f} mL" in state.page.inner_text("#tiles")
        # The page asked for nothing but itself, and its own worker and module.
        assert [url for url in state.requests if not url.startswith("blob:")] == [page.as_uri()]
        assert state.complaints == []


def test_the_commands_of_the_documentation(browser: Any, run: Run, tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/export.md").read_text(encoding="utf-8")
    [block] = re.findall(r"### A page\n\n```console\n(.*?)```", text, re.DOTALL)
    single, folder, serve = (line.removeprefix("$ ").split() for line in block.splitlines())
    # The folder that is served says where the run lies.
    shutil.copytree(run.path, tmp_path / Path(serve[-1]).parent)
    for command in (single, folder):
        subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, check=True, timeout=300)
    case = a_case(tmp_path)
    expected = predicted(case, run, tmp_path / "masks")
    [page] = (tmp_path / "runs").rglob("*.web.html")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words = [port if word == "8000" else word for word in serve[1:]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, *words], cwd=tmp_path, **quiet)
    try:
        for place in (page, f"http://127.0.0.1:{port}"):
            _until_answered(port)
            with started(browser, place, *case.iterdir()) as state:
                mask = segmented(state, tmp_path / "mask.nii.gz")
                assert share_differing(mask, expected) <= _ALIKE
    finally:
        server.kill()
        server.wait()


def _until_answered(port: str) -> None:
    """Wait for a server of this machine, at most some seconds."""
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at port {port}")


@pytest.mark.realdata
def test_a_brats_case_through_the_shipped_model(
    browser: Any, brats_dir: Path, tmp_path: Path
) -> None:
    case = brats_dir / "BraTS19_2013_10_1"
    page = api.export("base", "web", tmp_path / "base.html", single_file=True).path
    expected = predicted(case, "base", tmp_path / "masks")
    files = [path for path in case.iterdir() if "_seg" not in path.name]
    with started(browser, page, *files) as state:
        mask = segmented(state, tmp_path / "mask.nii.gz")
        assert share_differing(mask, expected) <= _ALIKE


def test_what_cannot_be_used_is_said_in_a_sentence(
    browser: Any, page: Path, tmp_path: Path
) -> None:
    case = a_case(tmp_path)
    t1, flair = (next(case.glob(f"*_{name}.nii.gz")) for name in ("t1", "flair"))
    (tmp_path / "notes.nii").write_text("no scan at all", encoding="utf-8")
    (tmp_path / "scan 7.nii.gz").write_bytes(flair.read_bytes())
    other = tmp_path / "other_flair.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((5, 6, 7), np.int16), np.eye(4)), other)
    mask = tmp_path / "lesion_mask.nii.gz"
    mask.write_bytes(t1.read_bytes())
    with started(browser, page, tmp_path / "notes.nii") as state:
        text = state.page.inner_text
        assert 'notes.nii is not a NIfTI file (it starts with "no scan a").' in text("#problems")
        assert text("#why") == "No file can be used."
        state.page.click("#problems button")
        give(state, tmp_path / "scan 7.nii.gz")
        assert text("#why") == "Choose which modality scan 7.nii.gz is, or leave it out."
        state.page.select_option("#images select", "FLAIR")
        assert text("#why") == ""
        give(state, flair)
        state.page.wait_for_selector("#images tr:nth-child(2)")
        assert text("#why") == "Two images are FLAIR: leave one out."
        state.page.click("#images tbody tr:nth-child(2) button")
        state.page.click("#images tbody button")
        give(state, mask)
        assert state.page.input_value("#images select") == "-"
        assert text("#why").startswith("The model reads T1, FLAIR: choose which image is which.")
        give(state, t1)
        state.page.wait_for_selector("#images tr:nth-child(2)")
        give(state, other)
        state.page.wait_for_selector("#images tr:nth-child(3)")
        state.page.click("#start:not([disabled])")
        state.page.wait_for_selector("body[data-state=failed]")
        assert "has the shape 5 x 6 x 7, but the first image has" in text("#failed")
        assert state.complaints == []


def test_too_few_modalities_are_refused_where_training_saw_no_such_case(
    browser: Any, run: Run, tmp_path: Path
) -> None:
    from mriseg.recipes.load import load

    plain = create_run(tmp_path / "plain", replace(run.manifest, incomplete=False))
    copy_weights(run, plain)
    network = deployed(load(run).network, run)
    page = tmp_path / "page.html"
    EXPORTER.export(network, describe(plain), page)
    with started(browser, page, next(a_case(tmp_path).glob("*_t1.nii.gz"))) as state:
        assert state.page.inner_text("#why") == (
            "FLAIR is missing: the model reads T1, FLAIR, and never saw a case without."
        )
        assert state.page.is_disabled("#start")


def test_a_case_is_cancelled_and_begun_again(browser: Any, page: Path, tmp_path: Path) -> None:
    case = a_case(tmp_path)
    with started(browser, page, *case.iterdir()) as state:
        state.page.click("#start:not([disabled])")
        state.page.click("#cancel")
        state.page.wait_for_selector("body[data-state=failed]")
        assert state.page.inner_text("#failed") == "Cancelled: no mask was made."
        assert state.page.is_hidden("#result")
        segmented(state, tmp_path / "mask.nii.gz")


def test_nothing_can_leave_the_page(browser: Any, page: Path) -> None:
    reach = "(url) => fetch(url).then(() => 'sent', () => 'refused')"
    image = (
        "(url) => new Promise((done) => { const image = new Image(); image.src = url;"
        " image.onload = () => done('sent'); image.onerror = () => done('refused'); })"
    )
    reached: list[str] = []

    class Listening(_Plain):
        def do_GET(self) -> None:
            reached.append(self.path)
            super().do_GET()

    with served(page.parent, Listening) as address, started(browser, page) as state:
        assert state.page.evaluate(reach, f"{address}/secret") == "refused"
        assert state.page.evaluate(image, f"{address}/secret") == "refused"
        assert "Content Security Policy" in state.complaints[0]
        assert reached == []
        # The server is one that would have been reached.
        state.page.goto(f"{address}/{page.name}")
        assert reached == [f"/{page.name}"]


class _Isolated(SimpleHTTPRequestHandler):
    """A server whose pages may use threads."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


class _Plain(SimpleHTTPRequestHandler):
    """As ``python -m http.server`` is."""

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


@contextmanager
def served(folder: Path, handler: Any = _Plain) -> Iterator[str]:
    """The address of a folder on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("handler", "how"), [(_Plain, "one thread"), (_Isolated, "threads")])
def test_a_folder_works_from_a_server(
    browser: Any, folder: Path, run: Run, tmp_path: Path, handler: Any, how: str
) -> None:
    case = a_case(tmp_path)
    expected = predicted(case, run, tmp_path / "masks")
    with (
        served(folder, handler) as address,
        started(browser, f"{address}/index.html", *case.iterdir()) as state,
    ):
        mask = segmented(state, tmp_path / "mask.nii.gz")
        assert share_differing(mask, expected) <= _ALIKE
        assert how in state.page.inner_text("#tiles")
        assert all(url.startswith((address, "blob:")) for url in state.requests)
        assert state.complaints == []


def test_a_folder_from_disk_says_how_to_serve_it(browser: Any, folder: Path) -> None:
    with opened(browser, folder / "index.html") as state:
        state.page.wait_for_selector("body[data-state=unable]")
        assert "python -m http.server" in state.page.inner_text("#unable")


def test_a_graphics_card_gives_the_same_mask(
    browser: Any, page: Path, run: Run, tmp_path: Path
) -> None:
    case = a_case(tmp_path)
    expected = predicted(case, run, tmp_path / "masks")
    with started(browser, page, *case.iterdir()) as state:
        state.page.select_option("#wish", "card")
        mask = segmented(state, tmp_path / "mask.nii.gz")
        assert "WebGPU" in state.page.inner_text("#tiles"), state.page.inner_text("#notices")
        assert share_differing(mask, expected) <= _ALIKE
