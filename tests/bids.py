"""Small BIDS data sets, and the validator of BIDS itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io import bids_validator
from mriseg.io.bids_validator import Problem
from mriseg.testing import Truth, phantoms

SHAPE = (6, 12, 10)
SUFFIXES = {"t1": "T1w", "t1ce": "ce-gd_T1w", "t2": "T2w", "flair": "FLAIR"}
ROLES = {"t1": "T1", "t1ce": "T1CE", "t2": "T2", "flair": "FLAIR"}


def describe(root: Path, name: str = "phantoms", **rest: Any) -> None:
    root.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"Name": name, "BIDSVersion": "1.11.0", **rest})
    (root / "dataset_description.json").write_text(text, encoding="utf-8")


def stem_of(sub: str, ses: str) -> str:
    return f"sub-{sub}" + (f"_ses-{ses}" if ses else "")


def anat(root: Path, sub: str, ses: str = "") -> Path:
    return root / f"sub-{sub}" / (f"ses-{ses}" if ses else "") / "anat"


@lru_cache
def head(seed: int, shape: Any) -> Any:
    """A head; the same array each time."""
    return phantoms.head(np.random.default_rng([7, seed]), shape)


def image(path: Path, seed: int = 0, modality: str = "t1", shape: Any = SHAPE) -> Path:
    """A file of one image."""
    drawn = head(seed, shape)[0][modality]
    return phantoms.write_nifti(path, np.rint(drawn), dtype=np.int16)


def write(
    root: Path,
    sessions: Sequence[tuple[str, str]] = (("01", ""), ("02", "")),
    *,
    modalities: Sequence[str] = ("t1", "flair"),
    derivative: str = "manual",
    mask: str = "dseg",
    shape: Any = SHAPE,
) -> Truth:
    """A raw data set, and a derivative with a segmentation of each session.

    Returns:
        Case -> its images and labels, as `mriseg.testing.ReaderContract` takes them.
    """
    describe(root)
    truth: Truth = {}
    for number, (sub, ses) in enumerate(sessions):
        images, labels = head(number, shape)
        for modality in modalities:
            path = anat(root, sub, ses) / f"{stem_of(sub, ses)}_{SUFFIXES[modality]}.nii.gz"
            phantoms.write_nifti(path, np.rint(images[modality]), dtype=np.int16)
        if derivative:
            folder = root / "derivatives" / derivative
            describe(folder, derivative, DatasetType="derivative", GeneratedBy=[{"Name": "hand"}])
            path = anat(folder, sub, ses) / f"{stem_of(sub, ses)}_{mask}.nii.gz"
            phantoms.write_nifti(path, labels)
        truth[stem_of(sub, ses)] = ({ROLES[m]: np.rint(images[m]) for m in modalities}, labels)
    return truth


def problems(root: Path) -> list[Problem]:
    """What the validator of BIDS finds wrong; skips where it is not installed or cannot run."""
    try:
        return bids_validator.problems_of(root)
    except InputError as error:
        pytest.skip(str(error))
