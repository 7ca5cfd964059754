"""ONNX files: the contract, no weights elsewhere, and nothing of a stranger's file is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mriseg.core.deploy import Deployed
from mriseg.errors import ExportError
from mriseg.io.disk.checksums import seal
from mriseg.io.exporters import exporter_of
from mriseg.io.exporters import onnx as module
from mriseg.io.exporters.onnx import EXPORTER, METADATA, write
from mriseg.testing import ExporterContract
from mriseg.testing.exporters import slices
from tests.io.exporters.one_level import one_level

onnx = pytest.importorskip("onnx", reason="onnx is not installed (mriseg[onnx])")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (mriseg[onnx])")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (mriseg[onnx])")

SIZES = [(3, 45, 70), (1, 64, 96), (2, 65, 20), (1, 33, 97), (2, 1, 1), (1, 100, 130)]


@pytest.mark.slow
class TestOnnx(ExporterContract):
    exporter = EXPORTER


@pytest.fixture(scope="module")
def small() -> Deployed:
    return one_level()


@pytest.fixture(scope="module")
def written(small: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    EXPORTER.export(small, json.loads(small.metadata()), path)
    return path


def model_of(*tensors: Any, **others: Any) -> Any:
    """A model of nothing but weights."""
    graph = onnx.GraphProto(name="g")
    graph.initializer.extend(tensors)
    for key, value in others.items():
        getattr(graph, key).extend(value)
    return onnx.ModelProto(ir_version=10, graph=graph)


def outside() -> Any:
    """A tensor whose values are in a file of a stranger's choice."""
    tensor = onnx.TensorProto(name="w", dims=[4], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def test_sizes_are_free_and_the_numbers_are_the_models(small: Deployed, written: Path) -> None:
    exported = EXPORTER.load(written)
    assert exported.metadata == json.loads(small.metadata())
    assert exported.runtime == f"onnxruntime {runtime.__version__}"
    for size in SIZES:
        for by_slice, masked in ((False, True), (True, False)):
            given = slices(*size, by_slice=by_slice, masked=masked)
            torch.testing.assert_close(
                exported.predict(*given), small(*given), rtol=1e-4, atol=1e-7
            )


def test_plain_onnxruntime_shows_names_and_metadata(small: Deployed, written: Path) -> None:
    session = runtime.InferenceSession(written, providers=["CPUExecutionProvider"])
    assert [(i.name, i.type) for i in session.get_inputs()] == [
        ("image", "tensor(float)"),
        ("mean", "tensor(float)"),
        ("std", "tensor(float)"),
        ("foreground", "tensor(uint8)"),
    ]
    assert [o.name for o in session.get_outputs()] == ["probabilities"]
    metadata = session.get_modelmeta().custom_metadata_map[METADATA]
    assert json.loads(metadata) == json.loads(small.metadata())
    onnx.checker.check_model(written)


def test_it_is_known_by_its_content(written: Path, tmp_path: Path) -> None:
    for name in ("renamed.bin", "model.pt2", "model.torchscript.pt"):
        path = tmp_path / name
        path.write_bytes(written.read_bytes())
        assert exporter_of(path) is EXPORTER
    (tmp_path / "model.onnx").write_bytes(b"torn")
    assert exporter_of(tmp_path / "model.onnx") is EXPORTER
    assert exporter_of(Path(__file__)) is None


def test_no_path_of_this_machine_is_in_it(written: Path) -> None:
    content = written.read_bytes()
    for private in (b"site-packages", str(Path(__file__).parents[3]).encode(), b".py"):
        assert private not in content


@pytest.mark.parametrize("where", ["weight", "node", "subgraph", "sparse", "training"])
def test_weights_in_another_file_are_refused(where: str, tmp_path: Path) -> None:
    tensor = outside()
    attribute = onnx.AttributeProto(name="value", t=tensor)
    node = onnx.NodeProto(op_type="Constant", attribute=[attribute])
    model = {
        "weight": lambda: model_of(tensor),
        "node": lambda: model_of(node=[node]),
        "subgraph": lambda: model_of(
            node=[
                onnx.NodeProto(
                    op_type="If",
                    attribute=[onnx.AttributeProto(name="b", g=onnx.GraphProto(node=[node]))],
                )
            ]
        ),
        "sparse": lambda: model_of(sparse_initializer=[onnx.SparseTensorProto(values=tensor)]),
        "training": lambda: model_of(),
    }[where]()
    if where == "training":
        model.training_info.add().algorithm.initializer.append(tensor)
    path = tmp_path / "model.onnx"
    write(model, {}, path)
    assert "its weights are in another file" in EXPORTER.inspect(path).faults[0]
    with pytest.raises(ExportError, match="another file"):
        EXPORTER.load(path)


def test_graphs_that_are_nested_for_ever_are_refused(tmp_path: Path) -> None:
    graph = onnx.GraphProto(name="inner")
    for _ in range(30):
        attribute = onnx.AttributeProto(name="b", g=graph)
        graph = onnx.GraphProto(node=[onnx.NodeProto(op_type="If", attribute=[attribute])])
    path = tmp_path / "model.onnx"
    write(onnx.ModelProto(ir_version=10, graph=graph), {}, path)
    assert "nested too deeply" in EXPORTER.inspect(path).faults[0]


def test_metadata_that_are_none_are_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    props = onnx.ModelProto()
    props.metadata_props.add(key=METADATA, value="{")
    path.write_bytes(model_of().SerializeToString() + props.SerializeToString())
    assert EXPORTER.inspect(path).faults
    path.write_bytes(model_of().SerializeToString())
    inspected = EXPORTER.inspect(path)
    assert (inspected.metadata, inspected.whole, inspected.faults) == ({}, None, ())


def test_any_part_of_a_file_is_damaged_or_refused(written: Path, tmp_path: Path) -> None:
    content, path = written.read_bytes(), tmp_path / "model.onnx"
    for end in (0, 1, 5, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        inspected = EXPORTER.inspect(path)
        assert inspected.faults or inspected.whole is not True
        with pytest.raises(ExportError, match="cannot be loaded"):
            EXPORTER.load(path)


def test_what_exceeds_a_protocol_buffer_is_refused(
    small: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 100)
    with pytest.raises(ExportError, match="holds 2 GB at most; export torchscript or pt2"):
        EXPORTER.export(small, {}, tmp_path / "model.onnx")


def test_the_digest_is_of_the_whole_file(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(written.read_bytes() + b"\x0a\x00")
    assert EXPORTER.inspect(path).whole is False
    seal(path)
    assert EXPORTER.inspect(path).whole is True
