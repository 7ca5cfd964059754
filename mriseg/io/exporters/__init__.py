"""Export formats: one module each, listed in ``EXPORTERS``."""

from __future__ import annotations

from pathlib import Path

from mriseg.io.exporters.base import Exporter, ExportInspection, LoadedExport
from mriseg.registry import Registry

__all__ = ["EXPORTERS", "LoadedExport", "Exporter", "ExportInspection", "exporter_of"]

EXPORTERS: Registry[Exporter] = Registry(
    "export format",
    {
        "torchscript": "mriseg.io.exporters.torchscript:EXPORTER",
        "onnx": "mriseg.io.exporters.onnx:EXPORTER",
        "coreml": "mriseg.io.exporters.coreml:EXPORTER",
        "monai": "mriseg.io.exporters.monai:EXPORTER",
        "pt2": "mriseg.io.exporters.pt2:EXPORTER",
        "web": "mriseg.io.exporters.web:EXPORTER",
    },
    group="mriseg.exporters",
)


def exporter_of(path: Path) -> Exporter | None:
    """The format of a file: by its content; of one that no format knows, by the end of its name.

    A folder is a page of several files, or nothing that was exported.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        page = EXPORTERS["web"]
        return page if page.matches(path) else None
    formats = [EXPORTERS[name] for name in EXPORTERS]
    for format in formats:
        if format.matches(path):
            return format
    named = [format for format in formats if path.name.endswith(format.suffix)]
    return max(named, key=lambda format: len(format.suffix), default=None)
