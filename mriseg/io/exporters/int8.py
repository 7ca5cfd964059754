"""An ONNX file in smaller numbers: the decoder's convolutions in 8-bit integers.

Values and weights become integers on scales that are fixed in advance, by slices that are run
through the float file (static quantisation). Of a SegNet that is the decoder alone: in the encoder
it makes neighbours in a pooling window equal, the first of equals is taken for the largest, and the
decoder puts values into wrong places.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mriseg.errors import ExportError
from mriseg.io.exporters.extras import ONNX
from mriseg.io.exporters.onnx import write
from mriseg.io.exporters.program import INPUTS, quiet

# In the names of its weights.
_DECODER = "network.decoder."


def quantise(source: Path, slices: Iterator[Tensor], metadata: dict[str, Any], path: Path) -> None:
    """Write a file of `mriseg.io.exporters.onnx` again, in integers.

    Args:
        source: the float file.
        slices: what scales are taken from: z-scores [b, m, h, w], 0 outside the brain.
        metadata: of the new file.
        path: of the new file.

    Raises:
        BackendError: onnxruntime or onnx is not installed.
        ExportError: the file has no decoder.
    """
    onnx = ONNX.library("onnx")
    quantization = ONNX.library("onnxruntime.quantization")
    convolutions = [node for node in onnx.load(source).graph.node if node.op_type == "Conv"]
    decoder = [node.name for node in convolutions if _DECODER in node.input[1]]
    if not decoder:
        raise ExportError(f"{source} holds no convolution of a decoder")
    with quiet():
        quantization.quantize_static(
            source,
            path,
            _reader(quantization, slices),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            nodes_to_quantize=decoder,
        )
        write(onnx.load(path), metadata, path)


def _reader(quantization: Any, slices: Iterator[Tensor]) -> Any:
    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            x = next(slices, None)
            if x is None:
                return None
            b, m, h, w = x.shape
            given = (
                x.float(),
                torch.zeros((b, m)),
                torch.ones((b, m)),
                torch.ones((b, h, w), dtype=torch.uint8),
            )
            return {name: value.numpy() for name, value in zip(INPUTS, given, strict=True)}

    return Reader()
