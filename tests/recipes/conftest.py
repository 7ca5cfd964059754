"""What the recipes' tests share: the processor as it computes exactly, phantoms, and a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.backends import Backend, select
from mriseg.core.config import TrainConfig
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.events import finish
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import train
from tests import phantoms

# Enough for a tiny network to find a phantom's tumour (Dice about 0.8), in about four seconds.
TINY = TrainConfig(
    width=8, epochs=6, batch_size=4, learning_rate=1e-2, tumour_fraction=0.6, norm_batches=10
)


@pytest.fixture(scope="session")
def cpu() -> Backend:
    """The processor in float32."""
    return select("cpu", precision="fp32")


@pytest.fixture(scope="session")
def tiny() -> TrainConfig:
    """A training of seconds."""
    return TINY


@pytest.fixture(scope="session")
def brats_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four phantoms in BraTS's layout."""
    root = tmp_path_factory.mktemp("brats")
    phantoms.write_brats(root, 4)
    return root


@pytest.fixture(scope="session")
def brats_store(brats_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Their store, for WT, TC and ET; not to be written."""
    out = tmp_path_factory.mktemp("stores") / "brats.zarr"
    finish(preprocess(brats_source, out, regions="WT,TC,ET", workers=1))
    return open_store(out)


@pytest.fixture(scope="session")
def trained(brats_store: Store, cpu: Backend, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three modalities that marks WT, TC and ET; not to be written."""
    path = tmp_path_factory.mktemp("runs") / "three"
    finish(train(brats_store, TINY, cpu, out=path))
    return open_run(path)
