from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.errors import OutputError
from mriseg.io.writers import WRITERS, Output
from tests.strategies import ORIENTATIONS, Orientation

SHAPE = (4, 5, 6)
WRITER = WRITERS["nifti"]


def an_output(orientation: Orientation = ORIENTATIONS[0]) -> Output:
    draws = np.random.default_rng(0)
    return Output(
        "case",
        draws.integers(0, 3, SHAPE, dtype=np.uint8),
        orientation.geometry(SHAPE),
        {"WT": draws.random(SHAPE, dtype=np.float32), "a/b": np.zeros(SHAPE, np.float32)},
    )


@given(st.sampled_from(ORIENTATIONS))
def test_a_mask_and_its_maps_lie_on_the_scans_grid(
    tmp_path_factory: pytest.TempPathFactory, orientation: Orientation
) -> None:
    folder = tmp_path_factory.mktemp("masks")
    output = an_output(orientation)
    WRITER.write(output, folder / "case.nii.gz")
    names = {"case.nii.gz", "case_prob_WT.nii.gz"}
    assert names < {path.name for path in folder.iterdir()} and len([*folder.iterdir()]) == 3
    for name, expected in zip(
        ("case.nii.gz", "case_prob_WT.nii.gz"),
        (output.labels, output.probabilities["WT"]),
        strict=True,
    ):
        image = nib.load(folder / name)
        assert np.array_equal(np.asanyarray(image.dataobj), expected)
        assert image.get_data_dtype() == expected.dtype
        assert np.allclose(image.affine, output.geometry.affine)


def test_without_probabilities_there_is_the_mask_alone(tmp_path: Path) -> None:
    output = an_output()
    WRITER.write(Output("case", output.labels, output.geometry), tmp_path / "case.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["case.nii.gz"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match="file"):
        WRITER.write(an_output(), tmp_path / "file" / "case.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
