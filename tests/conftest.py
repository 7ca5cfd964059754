"""Fixtures for all tests: real scans, phantoms, a run, one thread per process, hypothesis."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

# Before torch and OpenBLAS are first imported: tests run in several processes at once, and
# threads that fight over the cores make every one of them slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest

from mriseg.backends import Backend, select
from mriseg.core.config import TrainConfig
from mriseg.events import finish
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import train
from mriseg.testing import phantoms
from tests.trainings import changed, run_training

ROOT = Path(__file__).resolve().parent.parent
CI = os.environ.get("CI", "").lower() in {"1", "true"}

hypothesis.settings.register_profile("dev", deadline=None, max_examples=30)
# The same examples every time: a red build must be reproducible anywhere.
hypothesis.settings.register_profile(
    "ci", deadline=None, max_examples=30, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("ci" if CI else "dev")


def _data_root() -> Path:
    """The folder of real scans, whether or not it exists."""
    named = os.environ.get("MRISEG_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


def _folder(*parts: str) -> Path:
    folder = _data_root().joinpath(*parts)
    if not folder.is_dir():
        pytest.skip(f"no real scans at {folder}; set MRISEG_DATA to the folder that holds them")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a test on real scans that is skipped although they are there has failed."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail") and _data_root().is_dir():
        marker = item.get_closest_marker("realdata")
        if marker is not None:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped although {_data_root()} exists: {reason}"
    return report


@pytest.fixture
def rng() -> np.random.Generator:
    """A new generator for every test, from one seed."""
    return np.random.default_rng(20151102)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real scans: $MRISEG_DATA, or shared/data beside the checkout."""
    return _folder()


@pytest.fixture(scope="session")
def brats_dir() -> Path:
    """Five BraTS cases of 2017, 2019 and 2023."""
    return _folder("brats")


@pytest.fixture(scope="session")
def brats_unlabelled_dir() -> Path:
    """One BraTS case without a segmentation."""
    return _folder("brats-unlabelled")


@pytest.fixture(scope="session")
def brats_two_modalities_dir() -> Path:
    """One BraTS2013 case of FLAIR and T1c only."""
    return _folder("brats-two-modalities")


@pytest.fixture(scope="session")
def lgg_dir() -> Path:
    """The ``kaggle_3m`` folder of LGG patients."""
    return _folder("lgg", "kaggle_3m")


@pytest.fixture(scope="session")
def hippocampus_dir() -> Path:
    """``images/`` and ``labels/`` of the MSD hippocampus task."""
    return _folder("hippocampus")


@pytest.fixture(scope="session")
def ms_dir() -> Path:
    """Two patients with MS lesions."""
    return _folder("ms-lesions")


@pytest.fixture(scope="session")
def oddities_dir() -> Path:
    """Real files that went wrong somewhere."""
    return _folder("oddities")


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
def short(tiny: TrainConfig) -> TrainConfig:
    """Two epochs of twelve steps, for one region."""
    return changed(tiny, epochs=2, slices_per_epoch=48, modalities=["FLAIR", "T1"], regions=["WT"])


@pytest.fixture(scope="session")
def brats_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four phantoms in BraTS's layout."""
    root = tmp_path_factory.mktemp("brats")
    phantoms.write_brats(root, 4)
    return root


@pytest.fixture(scope="session")
def fine_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first two of them, each voxel as 2 x 2 of 0.5 mm within its slice."""
    root = tmp_path_factory.mktemp("fine")
    for index in range(2):
        images, labels = phantoms.head(np.random.default_rng([0, index]))
        fine = {name: image.repeat(2, 1).repeat(2, 2) for name, image in images.items()}
        folder = root / f"fine_{index}"
        doubled = labels.repeat(2, 1).repeat(2, 2)
        phantoms.write_brats_case(folder, fine, doubled, spacing=(1, 0.5, 0.5))
    return root


@pytest.fixture(scope="session")
def brats_store(brats_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Their store, for WT, TC and ET; not to be written."""
    out = tmp_path_factory.mktemp("stores") / "brats.zarr"
    finish(preprocess(brats_source, out, regions="WT,TC,ET", workers=1))
    return open_store(out)


@pytest.fixture(scope="session")
def trained(brats_store: Store, cpu: Backend, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three modalities that segments WT, TC and ET; read-only."""
    path = tmp_path_factory.mktemp("runs") / "three"
    finish(train(brats_store, TINY, cpu, out=path))
    return open_run(path)


@pytest.fixture(scope="session")
def whole(
    brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A training of ``short`` that was never stopped."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run_training(brats_store, short, cpu, path)
    return open_run(path)
