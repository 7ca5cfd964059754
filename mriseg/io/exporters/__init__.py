"""Export formats: one module each, listed in ``EXPORTERS``."""

from __future__ import annotations

from pathlib import Path

from mriseg.io.exporters.base import Exporter, ExportInspection, LoadedExport
from mriseg.registry import Registry

__all__ = ["EXPORTERS", "ExportInspection", "Exporter", "LoadedExport", "exporter_of"]

EXPORTERS: Registry[Exporter] = Registry(
    "export format",
    {"torchscript": "mriseg.io.exporters.torchscript:EXPORTER"},
    group="mriseg.exporters",
)


def exporter_of(path: Path) -> Exporter | None:
    """The exporter that writes files of such a name; None where there is none."""
    return next((e for e in EXPORTERS.values() if path.name.endswith(e.suffix)), None)
