"""What every reader promises. A new one inherits the suite and writes two cases in its layout."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mriseg.core.volume import canonical
from mriseg.errors import CaseError, InputError
from mriseg.io import readers
from mriseg.io.readers import Listing, Reader, ReaderOptions

Array = NDArray[Any]

Truth = dict[str, tuple[dict[str, Array], Array]]
"""Case -> its images by canonical modality, and its labels, all [z, y, x] in canonical axes."""

_WEB_PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class ReaderContract:
    """What `mriseg.io.readers` promises of a data layout.

    A subclass names the reader, which must be registered, and writes a small folder in its layout.

    Attributes:
        reader: the reader under test.
        options: what it is asked with.
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
        """The folder of scans, which `write` makes."""
        return tmp_path / "scans"

    @pytest.fixture
    def truth(self, root: Path) -> Truth:
        """What was written there."""
        return self.write(root)

    @pytest.fixture
    def listing(self, root: Path, truth: Truth) -> Listing:
        """What the reader finds there."""
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

    def test_it_finds_every_case_once_in_order(self, listing: Listing, truth: Truth) -> None:
        assert [case.name for case in listing.cases] == sorted(truth)
        assert all(case.patient and case.labelled for case in listing.cases)
        assert listing.skipped == ()

    def test_regions_are_of_labels_that_can_be(self, listing: Listing) -> None:
        assert listing.regions
        for values in listing.regions.values():
            assert values
            assert all(1 <= value <= 255 for value in values)
        assert all(1 <= value <= 255 for value in listing.labels)

    def test_finding_touches_only_files_inside(self, listing: Listing, root: Path) -> None:
        for case in listing.cases:
            assert case.files
            assert all(path.is_file() and path.is_relative_to(root) for path in case.files)

    def test_arrays_are_on_one_grid_and_finite(self, listing: Listing) -> None:
        for case in listing.cases:
            loaded = case.load()
            assert set(loaded.images) <= set(case.modalities)
            assert not loaded.grids
            for image in loaded.images.values():
                assert image.shape == loaded.geometry.shape
                assert np.isfinite(image).all()
            assert loaded.labels is not None
            assert loaded.labels.dtype == np.uint8
            assert loaded.labels.shape == loaded.geometry.shape

    def test_canonical_arrays_are_what_was_written(self, listing: Listing, truth: Truth) -> None:
        for case in listing.cases:
            loaded = case.load()
            images, labels = truth[case.name]
            assert set(loaded.images) == set(images)
            for name, image in images.items():
                shown = canonical(loaded.images[name], loaded.geometry)
                # Integers that a file scales come back to this.
                np.testing.assert_allclose(shown, image, rtol=1e-4, atol=1e-2)
            assert loaded.labels is not None
            np.testing.assert_array_equal(canonical(loaded.labels, loaded.geometry), labels)

    def test_a_case_can_be_sent_to_another_process(self, listing: Listing) -> None:
        case = listing.cases[0]
        sent = pickle.loads(pickle.dumps(case))
        assert sent == case
        before, after = case.load(), sent.load()
        assert after.geometry == before.geometry
        for name, image in before.images.items():
            np.testing.assert_array_equal(after.images[name], image)

    def test_any_damaged_file_is_named_by_a_case_error(self, listing: Listing) -> None:
        case = listing.cases[0]
        for path in case.files:
            content = path.read_bytes()
            for damaged in (_WEB_PAGE, b"", content[: len(content) // 2]):
                path.write_bytes(damaged)
                with pytest.raises(CaseError) as caught:
                    case.load()
                assert caught.value.case == case.name
                assert path.name in caught.value.reason
            path.write_bytes(content)
        case.load()

    def test_links_are_followed(self, root: Path, truth: Truth, tmp_path: Path) -> None:
        linked = tmp_path / "linked"
        linked.mkdir()
        for entry in root.iterdir():
            (linked / entry.name).symlink_to(entry)
        assert self.reader.matches(linked)
        cases = self.reader.find(linked, self.options).cases
        assert [case.name for case in cases] == sorted(truth)
        cases[0].load()

    def test_every_image_is_accounted_for(self, root: Path, truth: Truth) -> None:
        _, before = readers.find(root, self.reader.name, self.options)
        stranger = root / "stranger.nrrd"
        stranger.write_bytes(b"NRRD0004\n")
        _, listing = readers.find(root, self.reader.name, self.options)
        used = {path for case in listing.cases for path in case.files}
        assert used.isdisjoint(listing.unused)
        assert stranger in used | {*listing.unused}
        assert all(why for why in listing.unused.values())
        assert {*before.unused} <= {*listing.unused}
