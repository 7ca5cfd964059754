"""Exported files: the records of each format around little content, and damage to them.

A verification looks at how a file is built, not at what it computes, so a good file is made in a
millisecond; the exporters' own take half a minute.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import onnx

from mriseg.io.exporters.archive import seal_archive
from mriseg.io.exporters.monai import FOLDER
from mriseg.io.exporters.onnx import write
from tests.fuzz.bytes_ import damaged
from tests.fuzz.zip_ import damaged_zip


def plant_exports(root: Path, torchscript: bytes) -> dict[str, bytes]:
    """The end of its name -> a good file of each format; the TorchScript file is a real one."""
    root.mkdir()
    with zipfile.ZipFile(io.BytesIO(torchscript)) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("mriseg.json")]
        text = archive.read(name)
    write(_graph(), json.loads(text), root / "model.onnx")
    zips: Mapping[str, Mapping[str, bytes]] = {
        ".pt2": {
            "archive/archive_format": b"pt2",
            "archive/extra/mriseg.json": text,
            "archive/models/model.json": b'{"graph_module": {"graph": {}}}',
            "archive/data/weights/weight_0": bytes(400),
        },
        ".mlpackage.zip": {
            "mriseg.json": text,
            "model.mlpackage/Manifest.json": b"{}",
            "model.mlpackage/Data/com.apple.CoreML/model.mlmodel": bytes(300),
            "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin": bytes(400),
        },
        ".monai.zip": {
            f"{FOLDER}/mriseg.json": text,
            f"{FOLDER}/configs/inference.json": b'{"imports": ["$import os"]}',
            f"{FOLDER}/models/model.ts": torchscript,
        },
    }
    for suffix, records in zips.items():
        path = root / f"model{suffix}"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in records.items():
                archive.writestr(name, content)
        seal_archive(path)
    planted = {path.name.removeprefix("model"): path.read_bytes() for path in root.iterdir()}
    return {".torchscript.pt": torchscript} | dict(sorted(planted.items()))


def _graph() -> Any:
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1, 2, 3, 3], [0.5] * 18)
    nodes = [
        onnx.helper.make_node("Conv", ["image", "w"], ["x"], pads=[1, 1, 1, 1]),
        onnx.helper.make_node("Sigmoid", ["x"], ["probabilities"]),
    ]
    image, output = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["b", c, "h", "w"])
        for name, c in (("image", 2), ("probabilities", 1))
    )
    graph = onnx.helper.make_graph(nodes, "main", [image], [output], [weight])
    return onnx.helper.make_model(graph)


def damaged_export(rng: Random, suffix: str, data: bytes) -> bytes:
    """A damaged file; of a zip file, half of them still are zip files."""
    if suffix == ".onnx":
        return _with_a_message(rng, data) if rng.random() < 0.3 else damaged(rng, data)
    return damaged(rng, data) if rng.random() < 0.5 else damaged_zip(rng, data)


def _with_a_message(rng: Random, data: bytes) -> bytes:
    """Another message after the model: weights elsewhere, deep graphs, lies about lengths."""
    outside = onnx.TensorProto(name="w", data_location=1)
    outside.external_data.add(key="location", value="../outside/secret.txt")
    graph = onnx.GraphProto(initializer=[outside])
    for _ in range(rng.choice((0, 1, 5, 20))):
        attribute = onnx.AttributeProto(name="b", g=graph)
        graph = onnx.GraphProto(node=[onnx.NodeProto(op_type="If", attribute=[attribute])])
    more = onnx.ModelProto(functions=[onnx.FunctionProto(node=graph.node)])
    if rng.random() < 0.5:
        more.training_info.add().algorithm.CopyFrom(graph)
    more.metadata_props.add(key="mriseg", value=rng.choice(("{", "[1]", "{}", "[" * 20_000)))
    tail = more.SerializeToString()
    return data + (tail if rng.random() < 0.7 else tail[: rng.randrange(len(tail))])
