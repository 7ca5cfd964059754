"""TorchScript: one file that ``torch.jit.load`` runs in Python or C++, without mriseg.

The metadata is in it twice: as ``model.metadata()``, and as ``extra/mriseg.json`` in the archive
(a zip file), which needs no torch to be read. The file's digest is in the comment at its end.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mriseg.core.deploy import Deployed
from mriseg.errors import ExportError
from mriseg.io.exporters.archive import holds, inspect_archive, seal_archive
from mriseg.io.exporters.base import ExportInspection, LoadedExport

METADATA = "mriseg.json"


class TorchScript:
    """Writes and loads TorchScript; see `mriseg.io.exporters.base.Exporter`."""

    name = "torchscript"
    suffix = ".torchscript.pt"
    summary = "one file for torch.jit.load, in Python or C++, on any device, without mriseg"
    sizes: Literal["any", "frame"] = "any"

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        """See `Exporter.export`.

        Scripted, not traced: a trace keeps the sizes it has seen. Not ``torch.jit.freeze``-d: that
        makes constants of the weights, which then stay on the device they were made on.
        """
        write_script(network, metadata, path)
        seal_archive(path)

    def load(self, path: Path) -> LoadedExport:
        """See `Exporter.load`. For files just written: TorchScript is a program, not data."""
        extra = {METADATA: ""}
        try:
            with quiet():
                script = torch.jit.load(path, "cpu", extra)  # type: ignore[no-untyped-call]
            metadata = json.loads(extra[METADATA])
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"{path} cannot be loaded by torch.jit.load: {error}") from None

        def predict(image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None) -> Tensor:
            with torch.inference_mode():
                result: Tensor = script(image, mean, std, foreground)
            return result

        return LoadedExport(predict, metadata, f"torch.jit of PyTorch {torch.__version__}")

    def matches(self, path: Path) -> bool:
        """See `Exporter.matches`."""
        return holds(path, f"/extra/{METADATA}", "/constants.pkl")

    def inspect(self, path: Path) -> ExportInspection:
        """See `Exporter.inspect`: a TorchScript file is a zip file, and is read as one."""
        return inspect_archive(path, f"/extra/{METADATA}")


def write_script(module: nn.Module, metadata: dict[str, Any], path: Path) -> None:
    """Write a module as TorchScript, without its digest."""
    archive = io.BytesIO()
    with quiet():
        script = torch.jit.script(module)
        # Into memory: onto a path, PyTorch reports a full disk as a RuntimeError and names the
        # archive after the temporary file.
        torch.jit.save(script, archive, {METADATA: json.dumps(metadata, indent=1)})
    with path.open("wb") as file:
        _strip(archive, file)


def _strip(archive: io.BytesIO, file: io.BufferedWriter) -> None:
    """Copy a TorchScript archive without its debug records.

    They hold the paths of the sources on this machine, which are private; without them, errors
    quote the archive's own code instead.
    """
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(file, "w") as target:
        for record in source.infolist():
            if not record.filename.endswith(".debug_pkl"):
                # A new one, since the old one's extra field aligns its data to where it was.
                kept = zipfile.ZipInfo(record.filename)
                target.writestr(kept, source.read(record))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warning that TorchScript is deprecated; it is what was asked for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`?torch\.jit\.", DeprecationWarning)
        yield


EXPORTER = TorchScript()
