"""The suite for exporters refuses an exporter that breaks what it promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mriseg.core.deploy import Deployed, UncheckedDeployed
from mriseg.core.padding import padded_size
from mriseg.io.exporters import LoadedExport
from mriseg.io.exporters.torchscript import EXPORTER, TorchScript, write_script
from mriseg.testing import ExporterContract
from mriseg.testing.exporters import a_deployed, slices


class Suite(ExporterContract):
    """Not collected by pytest: its tests are called one by one, on files that are wrong."""

    __test__ = False
    exporter = EXPORTER


@pytest.fixture(scope="module")
def network() -> Deployed:
    return a_deployed()


@pytest.fixture
def path(network: Deployed, tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    EXPORTER.export(network, {"note": "x"}, path)
    return path


@pytest.fixture
def exported(path: Path) -> LoadedExport:
    return EXPORTER.load(path)


def test_a_right_file_passes(network: Deployed, path: Path, exported: LoadedExport) -> None:
    Suite().test_its_output_is_the_models(network, exported)
    Suite().test_it_is_inspected_without_being_run(path, exported)
    Suite().test_the_file_names_no_path_of_this_machine(path)


def test_another_output_is_refused(network: Deployed, exported: LoadedExport) -> None:
    wrong = replace(exported, predict=lambda *given: exported.predict(*given) + 1e-3)
    with pytest.raises(AssertionError):
        Suite().test_its_output_is_the_models(network, wrong)


class AsTraced(nn.Module):
    """What a trace holds: the numbers that were computed from the example's height and width."""

    def __init__(self, module: UncheckedDeployed, size: tuple[int, int]) -> None:
        super().__init__()
        self.module = module
        h, w = padded_size(size, module.frame)
        top, left = (h - size[0]) // 2, (w - size[1]) // 2
        self.pads = [left, w - size[1] - left, top, h - size[0] - top]
        self.register_buffer("rows", torch.arange(size[0]) + top)
        self.register_buffer("columns", torch.arange(size[1]) + left)

    def forward(
        self, image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None = None
    ) -> Tensor:
        x = F.pad(self.module.normalise(image, mean, std, foreground), self.pads)
        whole = torch.sigmoid(self.module.network(x))
        return whole.index_select(2, self.rows).index_select(3, self.columns)


class Frozen(TorchScript):
    """Keeps the sizes of its example, as a tracing exporter does without an error."""

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        write_script(AsTraced(network.unchecked, (45, 70)), metadata, path)


class FrozenSuite(ExporterContract):
    __test__ = False
    exporter = Frozen()


def test_frozen_sizes_are_refused(network: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    Frozen().export(network, {}, path)
    frozen = Frozen().load(path)
    # It is right where it was traced.
    given = slices(1, 45, 70)
    torch.testing.assert_close(frozen.predict(*given), network(*given))
    with pytest.raises((AssertionError, RuntimeError)):
        FrozenSuite().test_its_output_is_the_models(network, frozen)
    # And elsewhere it gives a slice of another size, without an error.
    assert frozen.predict(*slices(1, 64, 96)).shape == (1, 3, 45, 70)


def test_lost_metadata_is_refused(network: Deployed, exported: LoadedExport) -> None:
    with pytest.raises(AssertionError):
        Suite().test_metadata_comes_back(network, replace(exported, metadata={}))


def test_a_file_that_reveals_this_machine_is_refused(path: Path) -> None:
    with path.open("ab") as file:
        file.write(str(Path(__file__).resolve().parents[2]).encode())
    with pytest.raises(AssertionError):
        Suite().test_the_file_names_no_path_of_this_machine(path)
