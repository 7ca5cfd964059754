"""Export formats: one module each, listed in ``EXPORTERS``."""

from __future__ import annotations

from mriseg.io.exporters.base import Exporter, ExportInspection, LoadedExport
from mriseg.registry import Registry

__all__ = ["EXPORTERS", "LoadedExport", "Exporter", "ExportInspection"]

EXPORTERS: Registry[Exporter] = Registry(
    "export format",
    {"torchscript": "mriseg.io.exporters.torchscript:EXPORTER"},
    group="mriseg.exporters",
)
