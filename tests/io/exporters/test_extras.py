"""A library that is an extra, and is not there, is named with the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mriseg.errors import BackendError
from mriseg.io.exporters import EXPORTERS
from mriseg.testing.exporters import a_deployed


@pytest.mark.parametrize(
    ("format", "module"),
    [("onnx", "onnx"), ("onnx", "onnxscript"), ("onnx", "onnxruntime"), ("coreml", "coremltools")],
)
def test_an_absence_names_the_extra(
    format: str, module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError, match=rf'{module}.*pip install "mriseg\[{format}\]"'):
        EXPORTERS[format].export(a_deployed(), {}, tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["onnx", "onnxruntime", "coremltools", "monai"])
def test_a_file_is_inspected_without_them(
    module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "model").write_bytes(b"none of them")
    for exporter in EXPORTERS.values():
        assert not exporter.matches(tmp_path / "model")
        assert exporter.inspect(tmp_path / "model").faults
