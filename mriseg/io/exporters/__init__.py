"""Export formats: one module each, listed in ``EXPORTERS``."""

from __future__ import annotations

from mriseg.io.exporters.base import Exported, Exporter, Inspected
from mriseg.registry import Registry

__all__ = ["EXPORTERS", "Exported", "Exporter", "Inspected"]

EXPORTERS: Registry[Exporter] = Registry(
    "export format",
    {"torchscript": "mriseg.io.exporters.torchscript:EXPORTER"},
    group="mriseg.exporters",
)
