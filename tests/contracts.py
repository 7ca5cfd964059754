"""Suites that every implementation of a contract inherits, so that a new one is held to it."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mriseg.core.deploy import Deployed
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNetConfig, build, init_weights
from mriseg.core.volume import canonical
from mriseg.errors import CaseError, ExportError, InputError
from mriseg.io import readers
from mriseg.io.exporters import EXPORTERS, Exporter, LoadedExport, exporter_of
from mriseg.io.readers import Listing, Reader, ReaderOptions

Array = NDArray[Any]
Truth = dict[str, tuple[dict[str, Array], Array]]

WEB_PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class ReaderContract:
    """What `mriseg.io.readers` promises of a data layout.

    A subclass names the reader and writes a small folder in its layout.
    """

    reader: Reader
    options = ReaderOptions()

    def write(self, root: Path) -> Truth:
        """Write at least two labelled cases under ``root``.

        Returns:
            Case -> its images by canonical modality, and its labels, all [z, y, x] canonical.
        """
        raise NotImplementedError

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "scans"

    @pytest.fixture
    def truth(self, root: Path) -> Truth:
        return self.write(root)

    @pytest.fixture
    def found(self, root: Path, truth: Truth) -> Listing:
        return self.reader.find(root, self.options)

    def test_it_is_registered_by_its_name(self) -> None:
        assert readers.READERS[self.reader.name] is self.reader
        assert self.reader.summary

    def test_it_alone_recognises_its_layout(self, root: Path, truth: Truth) -> None:
        matching = [name for name, reader in readers.READERS.items() if reader.matches(root)]
        assert matching == [self.reader.name]
        assert readers.find(root, "auto", self.options)[0] == self.reader.name

    def test_an_empty_folder_is_refused(self, tmp_path: Path) -> None:
        assert not self.reader.matches(tmp_path)
        with pytest.raises(InputError, match="no case in"):
            self.reader.find(tmp_path, self.options)

    def test_it_finds_every_case_once_in_order(self, found: Listing, truth: Truth) -> None:
        assert [case.name for case in found.cases] == sorted(truth)
        assert all(case.patient and case.labelled for case in found.cases)
        assert found.skipped == ()

    def test_regions_are_of_labels_that_can_be(self, found: Listing) -> None:
        assert found.regions
        for values in found.regions.values():
            assert values
            assert all(1 <= value <= 255 for value in values)
        assert all(1 <= value <= 255 for value in found.labels)

    def test_finding_touches_only_files_inside(self, found: Listing, root: Path) -> None:
        for case in found.cases:
            assert case.files
            assert all(path.is_file() and path.is_relative_to(root) for path in case.files)

    def test_arrays_are_on_one_grid_and_finite(self, found: Listing) -> None:
        for case in found.cases:
            loaded = case.load()
            assert set(loaded.images) <= set(case.modalities)
            for image in loaded.images.values():
                assert image.shape == loaded.geometry.shape
                assert np.isfinite(image).all()
            assert loaded.labels is not None
            assert loaded.labels.dtype == np.uint8
            assert loaded.labels.shape == loaded.geometry.shape

    def test_canonical_arrays_are_what_was_written(self, found: Listing, truth: Truth) -> None:
        for case in found.cases:
            loaded = case.load()
            images, labels = truth[case.name]
            assert set(loaded.images) == set(images)
            for name, image in images.items():
                shown = canonical(loaded.images[name], loaded.geometry)
                # Integers that a file scales come back to this.
                np.testing.assert_allclose(shown, image, rtol=1e-4, atol=1e-2)
            assert loaded.labels is not None
            np.testing.assert_array_equal(canonical(loaded.labels, loaded.geometry), labels)

    def test_a_case_can_be_sent_to_another_process(self, found: Listing) -> None:
        case = found.cases[0]
        sent = pickle.loads(pickle.dumps(case))
        assert sent == case
        before, after = case.load(), sent.load()
        assert after.geometry == before.geometry
        for name, image in before.images.items():
            np.testing.assert_array_equal(after.images[name], image)

    def test_any_damaged_file_is_named_by_a_case_error(self, found: Listing) -> None:
        case = found.cases[0]
        for path in case.files:
            content = path.read_bytes()
            for damaged in (WEB_PAGE, b"", content[: len(content) // 2]):
                path.write_bytes(damaged)
                with pytest.raises(CaseError) as caught:
                    case.load()
                assert caught.value.case == case.name
                assert path.name in caught.value.reason
            path.write_bytes(content)
        case.load()

    def test_links_out_of_the_folder_are_not_followed(
        self, root: Path, truth: Truth, tmp_path: Path
    ) -> None:
        outside = tmp_path / "linked"
        outside.mkdir()
        for entry in root.iterdir():
            (outside / entry.name).symlink_to(entry)
        assert not self.reader.matches(outside)
        with pytest.raises(InputError):
            self.reader.find(outside, self.options)


def a_deployed(seed: int = 0, frame: tuple[int, int] = (64, 96)) -> Deployed:
    """A narrow network of two modalities and three regions, with statistics as training leaves."""
    generator = torch.Generator().manual_seed(seed)
    model = init_weights(build(SegNetConfig(in_channels=2, classes=3, width=8), PURE), generator)
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


class ExporterContract:
    """What `mriseg.io.exporters` promises of a format; a subclass names the exporter."""

    exporter: Exporter

    @pytest.fixture
    def network(self) -> Deployed:
        return a_deployed()

    @pytest.fixture
    def path(self, network: Deployed, tmp_path: Path) -> Path:
        path = tmp_path / f"model{self.exporter.suffix}"
        self.exporter.export(network, json.loads(network.metadata()), path)
        return path

    @pytest.fixture
    def exported(self, path: Path) -> LoadedExport:
        return self.exporter.load(path)

    def test_it_is_registered_by_its_name(self) -> None:
        assert EXPORTERS[self.exporter.name] is self.exporter
        assert self.exporter.summary
        assert self.exporter.suffix.startswith(".")

    def test_its_output_is_the_models(self, network: Deployed, exported: LoadedExport) -> None:
        # One file for all, in this order: a program that has learnt the first batch's size fails.
        sizes = [(1, 64, 96)]
        if self.exporter.sizes == "any":
            sizes += [(3, 45, 70), (2, 65, 20), (1, 33, 97), (2, 1, 1)]
        for size, by_slice, masked in itertools.product(sizes, (False, True), (True, False)):
            given = slices(*size, by_slice=by_slice, masked=masked)
            found, expected = exported.predict(*given), network(*given)
            assert found.shape == (size[0], 3, *size[1:])
            assert found.dtype == torch.float32
            assert found.device.type == "cpu"
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)

    def test_metadata_comes_back(self, network: Deployed, exported: LoadedExport) -> None:
        assert exported.metadata == json.loads(network.metadata())

    def test_it_is_inspected_without_being_run(self, path: Path, exported: LoadedExport) -> None:
        found = self.exporter.inspect(path)
        assert (found.metadata, found.whole, found.faults) == (exported.metadata, True, ())
        content = bytearray(path.read_bytes())
        for place in (0, len(content) // 3, len(content) // 2, len(content) - 1):
            content[place] ^= 4
            path.write_bytes(content)
            found = self.exporter.inspect(path)
            assert found.whole is False or found.faults, place
            content[place] ^= 4
        path.write_bytes(b"<!doctype html>")
        assert self.exporter.inspect(path).faults

    def test_it_is_recognised_by_its_suffix_or_its_content(self, path: Path) -> None:
        assert exporter_of(path) is self.exporter
        assert exporter_of(path.rename(path.with_name("renamed"))) is self.exporter
        path.with_name("page").write_bytes(WEB_PAGE)
        assert exporter_of(path.with_name("page")) is None

    def test_the_network_is_left_as_it_was(self, tmp_path: Path) -> None:
        network = a_deployed()
        before = copy.deepcopy(network.state_dict())
        self.exporter.export(network, {}, tmp_path / "model")
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, before[name]), name
        assert not network.training

    def test_an_older_file_is_replaced(self, tmp_path: Path) -> None:
        path, given = tmp_path / "model", slices(1, 64, 96)
        for seed in (1, 2):
            network = a_deployed(seed)
            self.exporter.export(network, {"seed": seed}, path)
            exported = self.exporter.load(path)
            assert exported.metadata == {"seed": seed}
            torch.testing.assert_close(exported.predict(*given), network(*given))

    def test_a_damaged_file_is_refused(self, path: Path, tmp_path: Path) -> None:
        content = path.read_bytes()
        damaged = tmp_path / path.name
        for bad in (WEB_PAGE, b"", content[: len(content) // 2]):
            damaged.write_bytes(bad)
            with pytest.raises(ExportError, match="cannot be loaded"):
                self.exporter.load(damaged)

    def test_the_file_names_no_path_of_this_machine(self, path: Path) -> None:
        assert str(Path(__file__).resolve().parent.parent).encode() not in path.read_bytes()
