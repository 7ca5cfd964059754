"""The scans to compare on: real ones if they are here, else the sample in the package."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np

from mriseg.cli.render import fail, messages, say
from mriseg.io import readers
from mriseg.io.readers import Case, ReaderOptions
from mriseg.io.readers.base import SEGMENTATION
from mriseg.io.sample import sample_dir

_ROOT = Path(__file__).resolve().parent.parent


def brats() -> Path | None:
    """The folder of BraTS cases, if it is here."""
    named = os.environ.get("MRISEG_DATA")
    folder = (Path(named) if named else _ROOT.parent / "shared" / "data") / "brats"
    return folder if folder.is_dir() else None


def brats_or_exit(script: str) -> Path:
    """The folder of BraTS cases; without it the script ends here, as one that has nothing to do."""
    folder = brats()
    if folder is None:
        say(
            messages(),
            f"{script} needs BraTS cases, and there are none: set MRISEG_DATA to a folder that "
            f"holds them in brats/",
        )
        sys.exit(0)
    return folder


def need(*modules: str) -> None:
    """End the script if a contender's library is not installed."""
    lacking = [name for name in modules if find_spec(name) is None]
    if lacking:
        fail(f"{', '.join(lacking)} is not installed: pip install -c constraints.txt -e '.[bench]'")
        sys.exit(2)


def cases(folder: Path | None = None) -> tuple[Case, ...]:
    """The cases of ``folder``, or of the sample."""
    return readers.find(folder or sample_dir(), "auto", ReaderOptions())[1].cases


def one_case(case: Case, folder: Path) -> Path:
    """A folder that holds this case's folder alone, by copy."""
    source = case.files[0].parent
    shutil.copytree(source, folder / source.name)
    return folder


def as_nifti(case: Case, folder: Path, suffix: str) -> dict[str, Path]:
    """Each modality and "seg" of a case as a file of ``suffix``, in the type it is stored in."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    if all(path.name.endswith((".nii", ".nii.gz")) for path in case.files):
        for name, paths in case.sources.items():
            files[name] = folder / f"{name}{suffix}"
            if paths[0].name.endswith(suffix):
                shutil.copyfile(paths[0], files[name])
            else:
                nib.save(nib.load(paths[0]), files[name])
        return files
    loaded = case.load()
    arrays = {**loaded.images, SEGMENTATION: loaded.labels}
    for name, array in arrays.items():
        files[name] = folder / f"{name}{suffix}"
        data = np.asarray(array, np.uint8 if name == SEGMENTATION else None)
        nib.save(nib.Nifti1Image(data, np.asarray(loaded.geometry.affine)), files[name])
    return files
