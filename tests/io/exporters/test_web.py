"""Pages: the contract, the folder's record, and nothing of a stranger's page is trusted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from mriseg.core.deploy import Deployed
from mriseg.errors import ExportError
from mriseg.io import assets
from mriseg.io.disk.checksums import sealed_json
from mriseg.io.exporters import exporter_of, onnx, web_page
from mriseg.io.exporters.web import EXPORTER, INDEX, RECORD
from mriseg.io.exporters.web_page import PARTS
from mriseg.testing import ExporterContract
from mriseg.testing.exporters import slices
from tests.io.exporters.one_level import one_level

proto = pytest.importorskip("onnx", reason="onnx is not installed (mriseg[onnx])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (mriseg[onnx])")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (mriseg[onnx])")

needs_parts = pytest.mark.skipif(
    assets.binary(f"onnxruntime/{PARTS['program']}") is None or assets.niivue() is None,
    reason="onnxruntime-web or the viewer was not fetched (scripts/viewer)",
)


@pytest.mark.slow
@needs_parts
class TestWeb(ExporterContract):
    exporter = EXPORTER


@pytest.fixture(scope="module")
def small() -> Deployed:
    return one_level()


@pytest.fixture(scope="module")
def written(small: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in a folder, whose model is empty: a network takes seconds to be written."""
    folder = tmp_path_factory.mktemp("web") / "model.web"
    model = proto.ModelProto(ir_version=10, graph=proto.GraphProto(name="g"))

    def empty(network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        onnx.write(model, metadata, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx.EXPORTER, "export", empty)
        EXPORTER.export_folder(small, json.loads(small.metadata()), folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy, which a test may damage."""
    return Path(shutil.copytree(written, tmp_path / "copy"))


@needs_parts
def test_a_folder_is_known_by_its_content(small: Deployed, written: Path) -> None:
    assert exporter_of(written) is EXPORTER
    assert sorted(path.name for path in written.iterdir()) == sorted(
        [INDEX, RECORD, *PARTS.values()]
    )
    inspected = EXPORTER.inspect(written)
    assert (inspected.whole, inspected.faults) == (True, ())
    assert inspected.metadata == json.loads(small.metadata())


@pytest.mark.slow
@needs_parts
def test_a_folder_gives_the_model(small: Deployed, tmp_path: Path) -> None:
    folder = tmp_path / "model.web"
    EXPORTER.export_folder(small, json.loads(small.metadata()), folder)
    exported = EXPORTER.load(folder)
    assert exported.metadata == json.loads(small.metadata())
    assert "browsers run it in onnxruntime-web" in exported.runtime
    given = slices(3, 45, 70)
    torch.testing.assert_close(exported.predict(*given), small(*given), rtol=1e-4, atol=1e-7)


@needs_parts
@pytest.mark.parametrize("name", [INDEX, RECORD, *PARTS.values()])
def test_a_byte_that_changed_is_blamed_on_its_file(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    inspected = EXPORTER.inspect(folder)
    assert [fault.partition(":")[0] for fault in inspected.faults] == [name]
    with pytest.raises(ExportError, match="cannot be loaded"):
        EXPORTER.load(folder)
    (folder / name).unlink()
    if name not in (INDEX, RECORD):
        assert EXPORTER.inspect(folder).faults == (f"{name}: is missing",)


@needs_parts
def test_a_record_leads_to_no_file_outside_and_must_name_all(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    del record["digest"], record["files"]["model.onnx"]
    record["files"]["../../etc/passwd"] = "0" * 64
    (folder / RECORD).write_bytes(sealed_json(record))
    assert EXPORTER.inspect(folder).faults == ("model.onnx: is missing from the record",)
    (folder / RECORD).write_bytes(sealed_json({"files": ["model.onnx"], "metadata": {}}))
    assert EXPORTER.inspect(folder).faults[0].startswith(f"{RECORD}: is damaged")


def test_a_page_of_somebody_else_is_none_of_ours(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><html><script>alert(1)</script></html>", encoding="utf-8")
    assert not EXPORTER.matches(page)
    assert EXPORTER.inspect(page).faults
    assert exporter_of(page) is None
    assert exporter_of(tmp_path) is None
    # One that says that it is, and holds no model.
    page.write_text(f"<html>{web_page.GENERATOR}</html>", encoding="utf-8")
    assert exporter_of(page) is EXPORTER
    with pytest.raises(ExportError, match="cannot be loaded"):
        EXPORTER.load(page)


def test_without_what_npm_has_one_message_says_what_to_do(
    small: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web_page.part_files.cache_clear()
    monkeypatch.setattr(web_page, "binary", lambda name: None)
    with pytest.raises(ExportError, match="run scripts/viewer in a checkout"):
        EXPORTER.export(small, {}, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
