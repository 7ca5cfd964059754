"""What every export format promises. A new one inherits the suite and names its exporter."""

from __future__ import annotations

import copy
import itertools
import json
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mriseg.core.deploy import Deployed
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNetConfig, build, init_weights_
from mriseg.errors import ExportError
from mriseg.io.exporters import EXPORTERS, Exporter, LoadedExport

_WEB_PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def a_deployed(seed: int = 0, frame: tuple[int, int] = (64, 96)) -> Deployed:
    """A narrow network of two modalities and three regions, with statistics as training leaves."""
    generator = torch.Generator().manual_seed(seed)
    model = init_weights_(build(SegNetConfig(in_channels=2, classes=3, width=8), PURE), generator)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.bias):
                assert values is not None
                values.data.normal_(0, 0.2, generator=generator)
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    metadata = {"modalities": ["T1", "FLAIR"], "note": "größer als \u2264"}
    return Deployed(model, ["T1", "FLAIR"], ["WT", "TC", "ET"], frame, json.dumps(metadata))


def slices(
    *size: int, by_slice: bool = False, masked: bool = True, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """What `a_deployed` takes: raw slices of ``size`` (b, h, w), mean, std and foreground."""
    generator = torch.Generator().manual_seed(seed)
    b, h, w = size
    shape = (b, 2) if by_slice else (2,)
    mean = 200 + 800 * torch.rand(shape, generator=generator)
    std = 20 + 200 * torch.rand(shape, generator=generator)
    noise = torch.randn((b, 2, h, w), generator=generator)
    image = mean.view(-1, 2, 1, 1) + std.view(-1, 2, 1, 1) * noise
    return image, mean, std, torch.rand(size, generator=generator) > 0.3 if masked else None


@dataclass(frozen=True)
class _Written:
    """What an exporter makes of `a_deployed`.

    Attributes:
        content: of the file.
        loaded: the file, loaded again.
        changed: names of tensors that the export changed.
    """

    content: bytes
    loaded: LoadedExport
    changed: tuple[str, ...]


def _export_once(exporter: Any) -> _Written:
    written: _Written = _written(exporter)
    return written


@cache
def _written(exporter: Any) -> _Written:
    """Written once for all tests: some exporters take half a minute."""
    network = a_deployed()
    before = copy.deepcopy(network.state_dict())
    # Under another name than its suffix: a caller chooses it.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        exporter.export(network, json.loads(network.metadata()), path)
        assert not network.training
        changed = [
            name
            for name, tensor in network.state_dict().items()
            if not torch.equal(tensor, before[name])
        ]
        return _Written(path.read_bytes(), exporter.load(path), tuple(changed))


class ExporterContract:
    """What `mriseg.io.exporters` promises of a format.

    Attributes:
        exporter: the exporter under test, which must be registered; a subclass names it.
    """

    exporter: Exporter

    @pytest.fixture
    def network(self) -> Deployed:
        """A small network to export."""
        return a_deployed()

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """The exported file of `network`: a copy, which a test may damage."""
        path = tmp_path / f"model{self.exporter.suffix}"
        path.write_bytes(_export_once(self.exporter).content)
        return path

    @pytest.fixture
    def exported(self) -> LoadedExport:
        """Such a file, loaded again."""
        return _export_once(self.exporter).loaded

    def test_it_is_registered_by_its_name(self) -> None:
        assert EXPORTERS[self.exporter.name] is self.exporter
        assert self.exporter.summary
        assert self.exporter.suffix.startswith(".")

    def test_its_output_is_the_models(self, network: Deployed, exported: LoadedExport) -> None:
        # One file for all, in this order: a program specialised to the first batch's size fails.
        # Inside the frame, as large as it, across it in either axis, and beyond it.
        sizes = [(1, 64, 96), (3, 45, 70), (2, 65, 20), (1, 33, 97), (2, 1, 1), (1, 100, 130)]
        if self.exporter.sizes == "frame":
            sizes = [(1, 64, 96)]
        for size, by_slice, masked in itertools.product(sizes, (False, True), (True, False)):
            given = slices(*size, by_slice=by_slice, masked=masked)
            output, expected = exported.predict(*given), network(*given)
            assert output.shape == (size[0], 3, *size[1:])
            assert output.dtype == torch.float32
            assert output.device.type == "cpu"
            torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)

    def test_metadata_comes_back(self, network: Deployed, exported: LoadedExport) -> None:
        assert exported.metadata == json.loads(network.metadata())

    def test_it_is_inspected_without_being_run(self, path: Path, exported: LoadedExport) -> None:
        inspected = self.exporter.inspect(path)
        assert (inspected.metadata, inspected.whole, inspected.faults) == (
            exported.metadata,
            True,
            (),
        )
        content = bytearray(path.read_bytes())
        for place in (0, len(content) // 3, len(content) // 2, len(content) - 1):
            content[place] ^= 4
            path.write_bytes(content)
            inspected = self.exporter.inspect(path)
            assert inspected.whole is False or inspected.faults, place
            content[place] ^= 4
        path.write_bytes(b"<!doctype html>")
        assert self.exporter.inspect(path).faults

    def test_the_network_is_left_as_it_was(self) -> None:
        assert not _export_once(self.exporter).changed

    def test_an_older_file_is_replaced(self, path: Path) -> None:
        network, given = a_deployed(1), slices(1, 64, 96)
        self.exporter.export(network, {"seed": 1}, path)
        exported = self.exporter.load(path)
        assert exported.metadata == {"seed": 1}
        torch.testing.assert_close(exported.predict(*given), network(*given), rtol=0, atol=1e-5)

    def test_a_scan_is_what_its_slices_are(self, network: Deployed, exported: LoadedExport) -> None:
        if exported.predict_scan is None:
            pytest.skip("files of this format take slices, not whole scans")
        brain = torch.zeros((6, 90, 120), dtype=torch.bool)
        brain[1:5, 20:81, 9:108] = True
        image, *_ = slices(6, 90, 120)
        volume = torch.where(brain, image.transpose(0, 1), torch.zeros(()))
        values = volume[:, brain].double()
        box = (slice(1, 5), slice(20, 81), slice(9, 108))
        inside = volume[:, *box].transpose(0, 1)
        expected = torch.zeros((3, 6, 90, 120))
        expected[:, *box] = network(inside, values.mean(1), values.std(1, correction=0)).transpose(
            0, 1
        )
        torch.testing.assert_close(exported.predict_scan(volume), expected, rtol=0, atol=1e-5)

    def test_a_damaged_file_is_refused(self, path: Path, tmp_path: Path) -> None:
        content = path.read_bytes()
        damaged = tmp_path / path.name
        for bad in (_WEB_PAGE, b"", content[: len(content) // 2]):
            damaged.write_bytes(bad)
            with pytest.raises(ExportError, match="cannot be loaded"):
                self.exporter.load(damaged)

    def test_the_file_names_no_path_of_this_machine(self, path: Path) -> None:
        assert str(Path(__file__).resolve().parents[2]).encode() not in path.read_bytes()
