from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from mriseg.core.prepare import prepare
from mriseg.core.volume import canonical
from mriseg.errors import CaseError, ConfigError, InputError
from mriseg.io import readers
from mriseg.io.readers import Case, ReaderOptions
from mriseg.io.readers.h5 import READER
from mriseg.testing import ReaderContract, Truth, phantoms

SHAPE = (5, 16, 20)
CHANNELS = ("T1", "T1CE", "T2", "FLAIR")
OPTIONS = ReaderOptions(CHANNELS)


def write(
    folder: Path,
    volume: int,
    *,
    scored: str = "",
    shape: tuple[int, int, int] = SHAPE,
) -> tuple[dict[str, NDArray[Any]], NDArray[np.uint8]]:
    """One volume as Kaggle has it; ``scored``: z-scored in the "volume" or in each "slice"."""
    images, labels = phantoms.head(np.random.default_rng(volume), shape)
    # [z, y, x] canonical is [i, j, k] of BraTS's files with the axes in reverse.
    stack = np.stack([images[name.lower()] for name in CHANNELS], axis=-1).transpose(2, 1, 0, 3)
    stack = stack.astype(np.float64)
    if scored:
        axes = (0, 1, 2) if scored == "volume" else (0, 1)
        stack -= stack.mean(axes, keepdims=True)
        stack /= stack.std(axes, keepdims=True) + 1e-9
    masks = np.stack([label == labels.T for label in (1, 2, 4)], axis=-1).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(shape[0]):
        with h5py.File(folder / f"volume_{volume}_slice_{k}.h5", "w") as file:
            file["image"] = stack[:, :, k]
            file["mask"] = masks[:, :, k]
    shown = {name: stack[..., n].transpose(2, 1, 0) for n, name in enumerate(CHANNELS)}
    return shown, labels


def only(root: Path, options: ReaderOptions = OPTIONS) -> Case:
    (case,) = READER.find(root, options).cases
    return case


def change(path: Path, **datasets: Any) -> None:
    with h5py.File(path, "a") as file:
        for name, value in datasets.items():
            del file[name]
            if value is not None:
                file[name] = value


class TestH5(ReaderContract):
    reader = READER
    options = OPTIONS

    def write(self, root: Path) -> Truth:
        return {f"volume_{n}": write(root / "content" / "data", n) for n in (1, 12)}


def test_the_channels_must_be_named(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with pytest.raises(ConfigError, match="--channels T1,T1CE,T2,FLAIR"):
        readers.find(tmp_path)
    with pytest.raises(ConfigError, match="2 channels were named .* the files have 4"):
        only(tmp_path, ReaderOptions(("T1", "T2")))
    with pytest.raises(ConfigError, match="distinct"):
        only(tmp_path, ReaderOptions(("T1", "t1n", "T2", "FLAIR")))


def test_what_the_files_do_not_state(tmp_path: Path) -> None:
    write(tmp_path, 1)
    listing = READER.find(tmp_path, OPTIONS)
    assert "no orientation" in listing.notices[0]
    assert listing.cases[0].patient == "volume_1"
    geometry = listing.cases[0].load().geometry
    assert (geometry.unit, geometry.canonical_shape) == ("px", SHAPE)


@pytest.mark.parametrize("scored", ["volume", "slice"])
def test_a_background_that_is_not_0_is_shifted_to_it(tmp_path: Path, scored: str) -> None:
    write(tmp_path, 1, scored=scored)
    images, labels = phantoms.head(np.random.default_rng(1), SHAPE)
    loaded = only(tmp_path).load()
    (notice,) = loaded.notices
    assert "T1, T1CE, T2, FLAIR was not 0" in notice
    for name in CHANNELS:
        shown = canonical(loaded.images[name], loaded.geometry)
        assert np.array_equal(shown == 0, images[name.lower()] == 0)
    # The brain is recognised by it.
    case = prepare(loaded.images, loaded.labels, loaded.geometry)
    assert np.count_nonzero(case.image[0]) <= np.count_nonzero(images["t1"])


def test_voxels_that_are_no_numbers_are_background(tmp_path: Path) -> None:
    write(tmp_path, 1)
    plane = np.zeros((20, 16, 4))
    plane[3:5, 4, 1] = np.nan, np.inf
    change(tmp_path / "volume_1_slice_0.h5", image=plane)
    loaded = only(tmp_path).load()
    assert loaded.notices == ("2 voxels of NaN or infinity; taken as background",)
    assert not loaded.images["T1CE"][..., 0].any()


def test_volumes_without_masks(tmp_path: Path) -> None:
    write(tmp_path, 1)
    for path in tmp_path.iterdir():
        change(path, mask=None)
    assert not only(tmp_path).labelled
    assert only(tmp_path).load().labels is None


def test_a_second_copy_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "a", 1)
    write(tmp_path / "b", 1)
    ((name, reason),) = READER.find(tmp_path, OPTIONS).skipped
    assert (name, reason) == ("volume_1", "it exists a second time, in b")


@pytest.mark.parametrize("number", [0, 2])
def test_a_missing_slice(tmp_path: Path, number: int) -> None:
    write(tmp_path, 1)
    (tmp_path / f"volume_1_slice_{number}.h5").unlink()
    with pytest.raises(CaseError, match=f"its slices {number} are missing"):
        only(tmp_path).load()


@pytest.mark.parametrize(
    ("datasets", "why"),
    [
        ({"image": np.zeros((20, 16, 3))}, "is 20 x 16 x 3; other slices are 20 x 16 x 4"),
        ({"image": np.zeros((20, 4))}, "expected numbers of 3 axes"),
        ({"image": np.zeros((20, 16, 4), "S3")}, "expected numbers"),
        ({"image": None}, "holds no dataset 'image'"),
        ({"mask": None}, "only one of them has a mask"),
        ({"mask": np.ones((20, 16, 1), np.uint8)}, "expected 20 x 16 x 3"),
        ({"mask": np.full((20, 16, 3), 7, np.uint8)}, "values other than 0 and 1"),
        ({"mask": np.ones((20, 16, 3), np.uint8)}, "overlap in 320 voxels"),
        ({"image": h5py.SoftLink("/mask")}, "holds 'image' in another place"),
        ({"image": h5py.ExternalLink("volume_1_slice_0.h5", "image")}, "in another place"),
    ],
)
def test_a_slice_that_does_not_fit(tmp_path: Path, datasets: dict[str, Any], why: str) -> None:
    write(tmp_path, 1)
    change(tmp_path / "volume_1_slice_3.h5", **datasets)
    with pytest.raises(CaseError, match=why):
        only(tmp_path).load()


def test_what_a_header_claims_is_checked_before_memory_is_taken(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with h5py.File(tmp_path / "volume_1_slice_1.h5", "a") as file:
        del file["image"]
        file.create_dataset("image", (4000, 4000, 4000), "f8", chunks=(9, 9, 9))
    with pytest.raises(CaseError, match="volume_1_slice_1.h5 claims 4000 x 4000 x 4000 values"):
        only(tmp_path).load()


def test_voxels_in_another_file_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / "secret").write_bytes(bytes(20 * 16 * 4 * 8))
    with h5py.File(tmp_path / "volume_1_slice_1.h5", "a") as file:
        del file["image"]
        place = [(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("image", (20, 16, 4), "f8", external=place)
    with pytest.raises(CaseError, match="in another place"):
        only(tmp_path).load()


def test_no_case(tmp_path: Path) -> None:
    (tmp_path / "volume_1.h5").write_bytes(b"")
    with pytest.raises(InputError, match="no case"):
        READER.find(tmp_path, ReaderOptions())
