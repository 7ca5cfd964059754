"""The documentation as a site: built strictly, of the pages that are there, with a search."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser import chromium, opened

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "scripts" / "site" / "build.py", out]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    out = tmp_path_factory.mktemp("site") / "site"
    done = build(ROOT, out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_and_picture_is_in_it(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        place = page.relative_to(ROOT).with_suffix("")
        target = place.parent if place.name == "index" else place
        assert (site / target / "index.html").is_file(), page
    assert (site / "docs" / "images" / "overlay.png").is_file()
    assert (site / "mriseg" / "models" / "base" / "MODEL_CARD" / "index.html").is_file()


def test_it_fetches_nothing_from_other_sites(site: Path) -> None:
    fetched = re.compile(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=\"(https?://[^\"]+)\"")
    for page in site.rglob("*.html"):
        assert not fetched.findall(page.read_text(encoding="utf-8")), page


@pytest.mark.parametrize(
    "broken", ["[x](nowhere.md)", "[x](cli.md#nowhere)", "![x](images/no.png)"]
)
def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, broken: str) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    root = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "build", "dist")
    shutil.copytree(ROOT, root, ignore=ignored)
    page = root / "docs" / "install.md"
    page.write_text(page.read_text(encoding="utf-8") + f"\n{broken}\n", encoding="utf-8")
    done = build(root, tmp_path / "site")
    assert done.returncode != 0
    assert "docs/install.md" in done.stderr and "no" in done.stderr


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *given: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_word_is_searched_for_in_a_browser(address: str) -> None:
    with chromium() as browser, opened(browser, address, width=1280) as seen:
        seen.page.click(".md-search__input")
        seen.page.keyboard.type("trackers")
        seen.page.wait_for_selector(".md-search-result__link[href*='trackers']")
        assert not seen.complaints
        assert all(url.startswith((address, "data:", "blob:")) for url in seen.requests)
