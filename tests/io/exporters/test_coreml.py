"""CoreML packages: the contract, by Apple's runtime or by evaluating what was saved."""

from __future__ import annotations

import json
import platform
import zipfile
from pathlib import Path

import pytest
import torch

from mriseg.io.exporters import exporter_of
from mriseg.io.exporters.coreml import EXPORTER
from mriseg.testing import ExporterContract
from mriseg.testing.exporters import slices
from tests.io.exporters.one_level import one_level

pytest.importorskip("coremltools", reason="coremltools is not installed (mriseg[coreml])")


@pytest.mark.slow
class TestCoreMl(ExporterContract):
    exporter = EXPORTER


def test_a_small_network_comes_back(tmp_path: Path) -> None:
    network, path = one_level(), tmp_path / "any name"
    EXPORTER.export(network, json.loads(network.metadata()), path)
    assert exporter_of(path) is EXPORTER
    assert (EXPORTER.inspect(path).whole, EXPORTER.inspect(path).faults) == (True, ())
    exported = EXPORTER.load(path)
    assert exported.metadata == json.loads(network.metadata())
    assert ("CoreML of macOS" in exported.runtime) == (platform.system() == "Darwin")
    for masked in (True, False):
        given = slices(1, 64, 96, masked=masked)
        torch.testing.assert_close(exported.predict(*given), network(*given), rtol=0, atol=1e-5)
    with zipfile.ZipFile(path) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {
            "mriseg.json",
            "model.mlpackage",
        }
        assert not any("debug" in name for name in archive.namelist())


def test_changed_weights_are_noticed_by_the_evaluation(tmp_path: Path) -> None:
    network, path = one_level(), tmp_path / "model.zip"
    EXPORTER.export(network, {}, path)
    other, head = tmp_path / "other.zip", network.unchecked.network.head.weight
    weight, other_weight = (value.numpy().tobytes() for value in (head, head * 1.01))
    changed = 0
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for record in source.infolist():
            content = source.read(record)
            changed += content.count(weight)
            target.writestr(record.filename, content.replace(weight, other_weight))
    assert changed == 1
    given = slices(1, 64, 96)
    expected = EXPORTER.load(path).predict(*given)
    assert (EXPORTER.load(other).predict(*given) - expected).abs().max() > 1e-5
