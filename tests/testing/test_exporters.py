"""The suite for exporters refuses an exporter that breaks what it promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mriseg.core.deploy import Deployed
from mriseg.io.exporters import LoadedExport
from mriseg.io.exporters.torchscript import EXPORTER
from mriseg.testing import ExporterContract
from mriseg.testing.exporters import a_deployed


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


def test_lost_metadata_is_refused(network: Deployed, exported: LoadedExport) -> None:
    with pytest.raises(AssertionError):
        Suite().test_metadata_comes_back(network, replace(exported, metadata={}))


def test_a_file_that_reveals_this_machine_is_refused(path: Path) -> None:
    with path.open("ab") as file:
        file.write(str(Path(__file__).resolve().parents[2]).encode())
    with pytest.raises(AssertionError):
        Suite().test_the_file_names_no_path_of_this_machine(path)
