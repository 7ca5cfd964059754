"""Exported programs: the contract, and that a file holds no pickle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch

from mriseg.io.exporters import exporter_of
from mriseg.io.exporters.pt2 import EXPORTER
from mriseg.testing import ExporterContract
from mriseg.testing.exporters import slices
from tests.io.exporters.one_level import one_level


@pytest.mark.slow
class TestPt2(ExporterContract):
    exporter = EXPORTER


def test_a_small_network_comes_back_and_holds_no_pickle(tmp_path: Path) -> None:
    network, path = one_level(), tmp_path / "any name"
    EXPORTER.export(network, json.loads(network.metadata()), path)
    assert exporter_of(path) is EXPORTER
    inspected = EXPORTER.inspect(path)
    assert (inspected.whole, inspected.faults) == (True, ())
    exported = EXPORTER.load(path)
    assert exported.metadata == inspected.metadata == json.loads(network.metadata())
    for size in [(3, 45, 70), (1, 64, 96), (2, 65, 20), (1, 100, 130)]:
        given = slices(*size)
        torch.testing.assert_close(exported.predict(*given), network(*given), rtol=0, atol=1e-6)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            # A pickle that PyTorch writes is a zip file, or begins with its protocol.
            assert not archive.read(name).startswith((b"PK\x03\x04", b"\x80\x02")), name
            assert str(Path(__file__).parents[3]).encode() not in archive.read(name)
