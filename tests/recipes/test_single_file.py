from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.recipes.single_file import channel_of, naming_channels, taken_as, with_siblings
from mriseg.testing import phantoms


def scan(path: Path, shape: tuple[int, ...] = (4, 5, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    phantoms.write_nifti(path, np.ones(shape, dtype=np.int16))
    return path


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("CASE_flair.nii.gz", "FLAIR"),
        ("BraTS-GLI-00000-000-t1c.nii", "T1CE"),
        ("T2w.nii.gz", "T2"),
        ("scan.nii.gz", None),
        ("CASE_seg.nii.gz", None),
    ],
)
def test_the_name_states_the_modality(tmp_path: Path, name: str, modality: str | None) -> None:
    assert channel_of(scan(tmp_path / name)) == modality


def test_a_file_of_several_channels_is_no_single_modality(tmp_path: Path) -> None:
    assert channel_of(scan(tmp_path / "x_flair.nii.gz", (4, 5, 6, 4))) is None
    broken = tmp_path / "y_flair.nii.gz"
    broken.write_bytes(b"no image")  # reported when it is read
    assert channel_of(broken) == "FLAIR"
    assert "taken as FLAIR" in taken_as(broken, "FLAIR") and "--channels" in taken_as(broken, "x")


def test_what_lies_beside_it_is_offered(tmp_path: Path) -> None:
    flair = scan(tmp_path / "my scans" / "ann_flair.nii.gz")
    out = Path("m.nii.gz")
    assert with_siblings(flair, out, "base") == ""
    scan(flair.with_name("ann_t1.nii.gz"))
    scan(flair.with_name("ann_seg.nii.gz"))
    text = with_siblings(flair, out, "base")
    assert text.startswith("T1 of the same case lies beside it and is not read")
    assert text.endswith(f"mriseg predict '{flair.parent}' m.nii.gz --model base")
    scan(flair.with_name("ann_t2.nii.gz"))
    assert with_siblings(flair, out, "base").startswith("T1, T2 of the same case lie beside it")
    scan(flair.with_name("bert_t1.nii.gz"))  # the folder is not this case's alone
    assert "folder of their own" in with_siblings(flair, out, "base")
    # Only another patient's: nothing to say.
    assert with_siblings(scan(flair.with_name("carl_flair.nii.gz")), out, "base") == ""
    assert with_siblings(scan(flair.with_name("nothing.nii.gz")), out, "base") == ""


def test_the_whole_command_is_shown_where_no_name_helps() -> None:
    text = naming_channels(Path("a b.nii"), Path("m.nii.gz"), "runs/x", ("T1", "FLAIR"))
    assert "(T1, FLAIR)" in text
    assert text.endswith("mriseg predict 'a b.nii' m.nii.gz --model runs/x --channels FLAIR")
