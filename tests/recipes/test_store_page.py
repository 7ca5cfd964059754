from __future__ import annotations

import os
from pathlib import Path

from mriseg.io import store as stores
from mriseg.recipes.about import Heard
from mriseg.recipes.store_page import write_page
from tests.pages import checked
from tests.stores import SPEC, a_case, append


def test_a_store_has_its_page_beside_its_cases(tmp_path: Path) -> None:
    store = stores.create(tmp_path / "out.zarr", SPEC)
    folder = tmp_path / "out.zarr"
    assert write_page(store, folder, Heard(), {}) is None and not (folder / "report.html").exists()
    append(store, "a", a_case(0))
    append(store, "<b>", a_case(1, labelled=False))
    append(store, "c", a_case(2))
    path = write_page(store, folder, Heard(["said"]), {"x.nii": "why"})
    assert path == folder / "report.html"
    page = checked(path.read_text(encoding="utf-8"))
    assert len(page.all("img")) == 3 and "no segmentation" in page.text
    assert "x.nii: why" in page.text and "said" in page.text

    # A case that cannot be read has no picture, and the page is there.
    [shard] = [
        p
        for p in (folder / "cases" / "a" / "image").rglob("*")
        if p.is_file() and "zarr" not in p.name
    ]
    os.truncate(shard, 10)
    write_page(stores.open_store(folder), folder, Heard(), {})
    page = checked(path.read_text(encoding="utf-8"))
    assert len(page.all("img")) == 2 and "no picture" in page.text
