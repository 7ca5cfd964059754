"""Stores of thousands of cases, made of a few: one is written, and copied under other names.

What a store says of each copy is its own: name, patient, content, fingerprint and the voxels of its
slices, so that nothing looks like a copy of another. Their arrays are links to the first's.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from mriseg.core.intensity import Normalisation
from mriseg.core.prepare import PreparedCase
from mriseg.core.volume import Box, Geometry
from mriseg.io.disk.checksums import BLANK, digest_of
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.store import Store, StoreSpec, create

REGIONS = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}
MODALITIES = ("T1", "T1ce", "T2", "FLAIR")
# As many slices as BraTS has, and few pixels: an index knows the slices, and never the pixels.
SHAPE = (155, 12, 12)
_IDENTITY = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def fill_with_copies(path: Path, count: int, shape: tuple[int, int, int] = SHAPE) -> Store:
    """A store of ``count`` cases of ``shape`` (z, y, x), each with a description of its own."""
    store = create(path, StoreSpec(REGIONS, layout="brats"))
    rng = np.random.default_rng(0)
    count_of = len(MODALITIES)
    labels = np.zeros(shape, np.uint8)
    labels[shape[0] // 3 : shape[0] // 2, 2:6, 2:6] = 4
    case = PreparedCase(
        image=rng.integers(1, 5, (count_of, *shape)).astype(np.float32),
        modalities=MODALITIES,
        labels=labels,
        geometry=Geometry(
            shape,
            ((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0), (0, 0, 0, 1.0)),
            (0, 1, 2),
            (False,) * 3,
        ),
        box=Box((0, 0, 0), shape),
        normalisation=Normalisation((400.0,) * count_of, (80.0,) * count_of),
    )
    names = [f"BraTS-GLI-{number:05}-000" for number in range(count)]
    sources = [
        KnownFile(f"{names[0]}-{kind}.nii.gz", 2_500_000, 1_700_000_000_000_000_000, "ab" * 32)
        for kind in ("seg", "t1c", "t1n", "t2f", "t2w")
    ]
    store.append(names[0], case, patient=names[0], content="0" * 64, sources=sources)
    first = path / "cases" / names[0]
    document = json.loads((first / "zarr.json").read_bytes())
    for name in names:
        folder = first.with_name(name)
        if folder != first:
            shutil.copytree(first, folder, copy_function=_linked)
            (folder / "zarr.json").unlink()
        document["attributes"]["mriseg"] |= _own(name, rng, shape[0])
        text = json.dumps(document, indent=2).encode()
        text = text.replace(BLANK.encode(), digest_of(text).encode(), 1)
        (folder / "zarr.json").write_bytes(text)
    return store


def _own(name: str, rng: np.random.Generator, slices: int) -> dict[str, Any]:
    lesion = np.zeros((slices, len(REGIONS)), np.int64)
    inside = slice(slices // 4, slices // 4 + slices // 2)
    lesion[inside] = np.sort(rng.integers(0, 4000, lesion[inside].shape))[:, ::-1]
    return {
        "digest": BLANK,
        "name": name,
        "patient": name.rpartition("-")[0],
        "content": rng.bytes(32).hex(),
        "fingerprint": {
            modality: base64.b64encode(rng.bytes(256)).decode() for modality in MODALITIES
        },
        "foreground": lesion.tolist(),
    }


def _linked(source: str, target: str) -> object:
    try:
        return os.link(source, target)
    except OSError:
        return shutil.copyfile(source, target)
