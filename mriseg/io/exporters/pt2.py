"""pt2: PyTorch's own exported program, for ``torch.export.load`` in Python, without mriseg.

It is what PyTorch offers in TorchScript's place. The file is a zip file, with the metadata as
``extra/mriseg.json`` in it and the digest in its comment. It is made for the PyTorch that wrote it
and the next few: its metadata says which that is.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from mriseg.core.deploy import Deployed
from mriseg.errors import ExportError
from mriseg.io.exporters.archive import holds, inspect_archive, seal_archive
from mriseg.io.exporters.base import ExportInspection, LoadedExport
from mriseg.io.exporters.program import full, program_of, quiet

METADATA = "mriseg.json"


class Pt2:
    """Writes and loads exported programs; see `mriseg.io.exporters.base.Exporter`."""

    name = "pt2"
    suffix = ".pt2"
    summary = "one file for torch.export.load, in Python, without mriseg"
    sizes: Literal["any", "frame"] = "any"

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        """See `Exporter.export`."""
        archive = io.BytesIO()
        program = program_of(network)
        # They are stored as a pickle, and whoever loads the file would have to trust that.
        program.example_inputs = None
        with quiet():
            torch.export.save(
                program,
                # Into memory: by a path, PyTorch asks for a name that ends in .pt2.
                archive,
                extra_files={METADATA: json.dumps(metadata, indent=1)},
            )
        path.write_bytes(archive.getbuffer())
        seal_archive(path)

    def load(self, path: Path) -> LoadedExport:
        """See `Exporter.load`. For files just written."""
        extra = {METADATA: ""}
        try:
            with quiet(), path.open("rb") as file:
                program = torch.export.load(file, extra_files=extra)
                module = program.module()
            metadata = json.loads(extra[METADATA])
        # What it raises depends on where it stumbles.
        except Exception as error:
            raise ExportError(f"{path} cannot be loaded by torch.export.load: {error}") from None

        def predict(image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None) -> Tensor:
            with torch.inference_mode():
                result: Tensor = module(image, mean, std, foreground)
            return result

        runtime = f"torch.export of PyTorch {torch.__version__}"
        return LoadedExport(full(predict, _channels(program)), metadata, runtime)

    def matches(self, path: Path) -> bool:
        """See `Exporter.matches`."""
        return holds(path, f"extra/{METADATA}", "archive_format")

    def inspect(self, path: Path) -> ExportInspection:
        """See `Exporter.inspect`: the file is a zip file, and is read as one."""
        return inspect_archive(path, f"extra/{METADATA}")


def _channels(program: torch.export.ExportedProgram) -> int:
    image = program.graph_signature.user_inputs[0]
    [node] = [node for node in program.graph.nodes if node.name == image]
    return int(node.meta["val"].shape[1])


EXPORTER = Pt2()
