"""ONNX: one file for onnxruntime, in C++, Java, C#, JavaScript or Python, without PyTorch.

It is written by PyTorch's exporter of programs alone: the older one, which traces, gives wrong
numbers without an error. The metadata is in the file's ``metadata_props`` under ``mriseg``, and its
digest at the very end under ``mriseg.seal``. Weights are always inside: a file that names others is
refused, since it makes a reader open whatever it names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from torch import Tensor

from mriseg.core.deploy import Deployed
from mriseg.errors import ExportError
from mriseg.io.disk.checksums import BLANK, as_written, seal
from mriseg.io.disk.untrusted import open_regular, parse_json
from mriseg.io.exporters.base import ExportInspection, LoadedExport
from mriseg.io.exporters.extras import ONNX
from mriseg.io.exporters.program import INPUTS, OUTPUT, full, program_of, quiet
from mriseg.io.exporters.protobuf import content, fields

METADATA, SEAL = "mriseg", "mriseg.seal"

# A protocol buffer's sizes are numbers of 31 bits; the graph itself takes less than a MB.
_MOST = 2**31 - 2**24
# Metadata is a page of text.
_LARGEST = 2**24
# Graphs in graphs: no file of ours has one.
_DEEPEST = 8

# The numbers of fields in onnx.proto, which never change. Of a message -> those that are walked.
_GRAPH, _PROPS = 7, 14
_WALKED: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "tensor": {},
}  # fmt: skip
_EXTERNAL, _LOCATION = 13, 14


class Onnx:
    """Writes and loads ONNX; see `mriseg.io.exporters.base.Exporter`."""

    name = "onnx"
    suffix = ".onnx"
    summary = "one file for onnxruntime: C++, Java, C#, JavaScript or Python, without PyTorch"
    sizes: Literal["any", "frame"] = "any"

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        """See `Exporter.export`."""
        for module in ONNX.modules:
            ONNX.library(module)
        size = sum(p.numel() * p.element_size() for p in network.parameters())
        if size > _MOST:
            raise ExportError(
                f"the weights take {size / 2**30:.1f} GB, and an ONNX file holds 2 GB at most; "
                f"export torchscript or pt2 instead"
            )
        with quiet():
            program = torch.onnx.export(
                program_of(network),
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        write(_bare(program.model_proto), metadata, path)

    def load(self, path: Path) -> LoadedExport:
        """See `Exporter.load`."""
        if faults := self.inspect(path).faults:
            raise ExportError(f"{path} cannot be loaded by onnxruntime: {faults[0]}")
        session = session_of(path)
        metadata = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
        runtime = ONNX.library("onnxruntime")

        def predict(image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None) -> Tensor:
            values = (image, mean, std, foreground)
            named = {
                name: value.numpy()
                for name, value in zip(INPUTS, values, strict=True)
                if value is not None
            }
            return torch.from_numpy(session.run([OUTPUT], named)[0])

        modalities = session.get_inputs()[0].shape[1]
        return LoadedExport(
            full(predict, modalities), metadata, f"onnxruntime {runtime.__version__}"
        )

    def matches(self, path: Path) -> bool:
        """See `Exporter.matches`: it is a model of ONNX's with our metadata."""
        with open_regular(path) as file:
            try:
                return METADATA in _properties(file)
            except ValueError:
                return False

    def inspect(self, path: Path) -> ExportInspection:
        """See `Exporter.inspect`: the file is read as protocol buffers, and nothing is loaded."""
        with open_regular(path) as file:
            whole = as_written(file)
            metadata: object = {}
            try:
                properties = _properties(file)
                metadata = parse_json(properties.get(METADATA, b"{}"))
                if outside := _external(file):
                    raise ValueError(f"byte {outside}: its weights are in another file")
            except ValueError as error:
                return ExportInspection({}, whole, (f"{path.name}: is damaged ({error})",))
        return ExportInspection(metadata if isinstance(metadata, dict) else {}, whole)


def write(model: Any, metadata: dict[str, Any], path: Path) -> None:
    """Write a model of ONNX's with its metadata and its digest.

    Args:
        model: an ``onnx.ModelProto``.
        metadata: JSON types.
        path: the file.
    """
    onnx = ONNX.library("onnx")
    del model.metadata_props[:]
    # A message may be followed by more of its fields: the digest is the last that the file says.
    props = onnx.ModelProto()
    for key, text in (
        (METADATA, json.dumps(metadata, indent=1)),
        (SEAL, json.dumps({"digest": BLANK})),
    ):
        props.metadata_props.add(key=key, value=text)
    path.write_bytes(model.SerializeToString() + props.SerializeToString())
    seal(path)


def session_of(path: Path) -> Any:
    """An onnxruntime session on the CPU, with as many threads as PyTorch has.

    Raises:
        ExportError: it cannot be loaded.
    """
    runtime = ONNX.library("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # Its exceptions have no class of their own that it exports.
    except Exception as error:
        raise ExportError(f"{path} cannot be loaded by onnxruntime: {error}") from None


def _bare(model: Any) -> Any:
    """Without the lines of code and names of modules that each node came from."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    return model


def _properties(file: BinaryIO) -> dict[str, bytes]:
    """The metadata of a model.

    Raises:
        ValueError: it is not a model.
    """
    end = file.seek(0, 2)
    properties, graphs = {}, 0
    for field in fields(file, 0, end):
        graphs += field.number == _GRAPH
        if field.number == _PROPS:
            pair = {
                part.number: content(file, part, _LARGEST)
                for part in fields(file, field.start, field.end)
            }
            properties[pair.get(1, b"").decode()] = pair.get(2, b"")
    if graphs != 1:
        raise ValueError("it is not a model of ONNX's")
    return properties


def _external(file: BinaryIO) -> int:
    """Where a tensor says that its values are in another file; 0 for nowhere.

    Raises:
        ValueError: the file is damaged, or nested deeper than any of ours.
    """
    left = [("model", 0, file.seek(0, 2), 0)]
    while left:
        message, start, end, depth = left.pop()
        for field in fields(file, start, end):
            if message == "tensor" and (
                field.number == _EXTERNAL or (field.number == _LOCATION and field.value)
            ):
                return field.start
            inner = _WALKED[message].get(field.number)
            if inner is not None:
                if inner == "graph" and depth >= _DEEPEST:
                    raise ValueError(f"byte {field.start}: graphs are nested too deeply")
                left.append((inner, field.start, field.end, depth + (inner == "graph")))
    return 0


EXPORTER = Onnx()
