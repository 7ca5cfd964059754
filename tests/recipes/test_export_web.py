"""A page in a folder: written whole, checked, and never over what is somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mriseg import api
from mriseg.core.deploy import Deployed
from mriseg.errors import ExportError, OutputError
from mriseg.events import finish
from mriseg.io.exporters.base import ExportInspection, LoadedExport
from mriseg.io.exporters.web import EXPORTER, INDEX, RECORD
from mriseg.recipes.export import export
from mriseg.recipes.export_web import export_web
from mriseg.recipes.verify import verify
from tests.recipes.test_export import a_run


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The exporter's files without its half a minute: the network itself is what is loaded."""
    written: dict[str, Any] = {"add": 0.0}

    def folder(network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        path.mkdir()
        for name in (INDEX, RECORD):
            (path / name).write_text(f"page {written['add']}", encoding="utf-8")
        written.update(network=network, metadata=metadata)

    def page(network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        path.write_text("page", encoding="utf-8")
        written.update(network=network, metadata=metadata)

    def load(path: Path) -> LoadedExport:
        def predict(*given: Any) -> torch.Tensor:
            output: torch.Tensor = written["network"](*given) + written["add"]
            return output

        return LoadedExport(predict, written["metadata"], "a stub")

    monkeypatch.setattr(EXPORTER, "export_folder", folder)
    monkeypatch.setattr(EXPORTER, "export", page)
    monkeypatch.setattr(EXPORTER, "load", load)
    return written


def test_a_page_lies_in_the_runs_folder_and_replaces_an_earlier_one(
    tmp_path: Path, stub: dict[str, Any]
) -> None:
    run = a_run(tmp_path)
    for _ in range(2):
        report = finish(export_web(run))
        assert report.path == run.path / "model.web"
        assert (report.format, report.checked_by) == ("web", "a stub")
        assert report.largest_difference < 1e-5
    assert sorted(path.name for path in report.path.iterdir()) == [INDEX, RECORD]
    assert not [path for path in run.path.iterdir() if path.name.startswith(".part")]


def test_a_page_that_is_wrong_leaves_the_earlier_one(tmp_path: Path, stub: dict[str, Any]) -> None:
    run = a_run(tmp_path)
    finish(export_web(run))
    stub["add"] = 0.1
    with pytest.raises(ExportError, match="does not give the model's output"):
        finish(export_web(run))
    assert (run.path / "model.web" / INDEX).read_text(encoding="utf-8") == "page 0.0"


def test_a_folder_of_somebody_elses_or_a_file_is_left_alone(
    tmp_path: Path, stub: dict[str, Any]
) -> None:
    run, folder = a_run(tmp_path), tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="holds other files"):
        finish(export_web(run, folder))
    with pytest.raises(OutputError, match="--single-file"):
        finish(export_web(run, folder / "thesis.txt"))
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_python_and_the_recipe_write_one_file_if_asked(
    tmp_path: Path, stub: dict[str, Any]
) -> None:
    run = a_run(tmp_path)
    assert api.export(run, "web").path == run.path / "model.web"
    assert api.export(run, "web", single_file=True).path == run.path / "model.web.html"
    assert finish(export(run, "web", tmp_path / "a.html")).path == tmp_path / "a.html"


def test_verify_looks_into_a_page_of_a_run(
    tmp_path: Path, stub: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path)
    folder = finish(export_web(run)).path
    fault = ExportInspection({}, False, ("model.onnx: is missing",))
    monkeypatch.setattr(EXPORTER, "inspect", lambda path: fault)
    for place in (folder, run.path):
        report = finish(verify(place))
        assert [(one.file, one.what) for one in report.faults] == [
            ("model.web", "model.onnx: is missing")
        ]
