from __future__ import annotations

import inspect

import pytest

from mriseg.io.exporters import EXPORTERS, Exporter

METHODS = ("export", "load", "matches", "inspect")


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_exporter_has_the_shape_of_the_protocol(name: str) -> None:
    exporter = EXPORTERS[name]
    assert exporter.name == name and exporter.summary and exporter.sizes in ("any", "frame")
    for method in METHODS:
        expected = list(inspect.signature(getattr(Exporter, method)).parameters)[1:]
        assert list(inspect.signature(getattr(exporter, method)).parameters) == expected
