"""A file in integers: the decoder's convolutions, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mriseg.errors import ExportError
from mriseg.io.exporters.int8 import quantise
from mriseg.io.exporters.onnx import EXPORTER
from mriseg.testing.exporters import a_deployed, slices
from tests.io.exporters.one_level import one_level

onnx = pytest.importorskip("onnx", reason="onnx is not installed (mriseg[onnx])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (mriseg[onnx])")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (mriseg[onnx])")


def test_a_file_without_a_decoder_is_refused(tmp_path: Path) -> None:
    EXPORTER.export(one_level(), {}, tmp_path / "float.onnx")
    with pytest.raises(ExportError, match="no convolution of a decoder"):
        quantise(tmp_path / "float.onnx", iter([]), {}, tmp_path / "int8.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["float.onnx"]


@pytest.mark.slow
def test_the_decoder_is_in_integers_and_the_rest_as_it_was(tmp_path: Path) -> None:
    network = a_deployed()
    EXPORTER.export(network, {}, tmp_path / "float.onnx")
    given = slices(1, 64, 96, masked=False)
    scaled = network.unchecked.normalise(*given)
    calibration = iter([scaled, scaled.flip(2)])
    metadata = json.loads(network.metadata())
    path = tmp_path / "int8.onnx"
    quantise(tmp_path / "float.onnx", calibration, metadata, path)
    inspected = EXPORTER.inspect(path)
    assert (inspected.metadata, inspected.whole, inspected.faults) == (metadata, True, ())
    assert path.stat().st_size < 0.8 * (tmp_path / "float.onnx").stat().st_size
    graph = onnx.load(path).graph
    weights = {
        name: tensor.data_type
        for tensor in graph.initializer
        for name in [tensor.name]
        if name.endswith("weight_quantized")
    }
    integers = {name for name, kind in weights.items() if kind == onnx.TensorProto.INT8}
    assert len(integers) == 12 and all("network.decoder." in name for name in integers)
    output = EXPORTER.load(path).predict(*given)
    difference = (output - network(*given)).abs()
    assert difference.mean() < 0.05 and torch.isfinite(output).all()
