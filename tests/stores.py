"""Small stores, and the damage that befalls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mriseg.core.prepare import PreparedCase, prepare
from mriseg.io.disk.checksums import BLANK, seal
from mriseg.io.store import Store, StoreSpec
from mriseg.testing import phantoms
from tests.strategies import ORIENTATIONS

REGIONS = {"WT": (1, 2, 3, 4), "ET": (4,)}
SPEC = StoreSpec(REGIONS, {1: "necrosis", 4: "enhancing"}, "brats")
SHAPE = (10, 40, 36)


def a_case(
    seed: int = 0, modalities: tuple[str, ...] = ("T1", "FLAIR"), labelled: bool = True
) -> PreparedCase:
    images, labels = phantoms.head(np.random.default_rng(seed), SHAPE, modalities=modalities)
    geometry = ORIENTATIONS[0].geometry(SHAPE)
    return prepare(images, labels if labelled else None, geometry)


def append(store: Store, name: str, case: PreparedCase, **extra: Any) -> None:
    store.append(name, case, patient=extra.pop("patient", name), content="c" + name, **extra)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object], *, sealed: bool = True) -> None:
    """Change the attributes in a group's ``zarr.json``, as if mriseg had written it so.

    Args:
        path: of the ``zarr.json``.
        change: what to do to mriseg's attributes.
        sealed: give it the digest of what it says now.
    """
    metadata = json.loads(path.read_text())
    change(metadata["attributes"]["mriseg"])
    if sealed:
        metadata["attributes"]["mriseg"]["digest"] = BLANK
    path.write_text(json.dumps(metadata))
    if sealed:
        seal(path)
