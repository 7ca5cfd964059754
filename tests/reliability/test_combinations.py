"""What cannot work is refused at the start, in one message, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mriseg.backends import select
from mriseg.cli.app import app
from mriseg.core.config import TrainConfig
from mriseg.errors import OutputError
from mriseg.events import finish
from mriseg.io.disk.space import check_space, check_writable
from mriseg.io.store import open_store
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import train
from mriseg.testing import phantoms

SHAPE = (12, 40, 36)
COMPUTE = "--backend cpu --precision fp32"
Type = Callable[[str], Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores that differ, a run of three modalities that ended and one that was stopped."""
    root = tmp_path_factory.mktemp("combinations")
    phantoms.write_brats(root / "four", 3, shape=SHAPE)
    phantoms.write_brats(root / "two", 3, shape=SHAPE, modalities=("t1", "flair"))
    phantoms.write_brats(root / "bare", 2, shape=SHAPE, labelled=False)
    phantoms.write_brats(root / "others", 3, shape=SHAPE, seed=9)
    for name, regions in (
        ("four", "WT,TC"),
        ("two", "WT,TC"),
        ("bare", "WT,TC"),
        ("others", "WT,TC"),
        ("less", "WT"),
        ("shifted", "WT=1+2,TC=1"),
    ):
        source = root / (name if (root / name).exists() else "four")
        finish(preprocess(source, root / f"{name}.zarr", regions=regions, workers=1))
    cpu = select("cpu", precision="fp32")
    config = TrainConfig(width=8, batch_size=8, epochs=1, modalities=("T1", "T2", "FLAIR"))
    finish(train(open_store(root / "four.zarr"), config, cpu, out=root / "three"))
    long = TrainConfig.model_validate({**config.model_dump(), "epochs": 50})
    recipe = train(open_store(root / "four.zarr"), long, cpu, out=root / "stopped")
    for _ in zip(range(4), recipe, strict=False):
        pass
    recipe.close()
    # Files side by side, as people predict them.
    (root / "flat").mkdir()
    case = root / "four" / "BraTS20_Training_001"
    shutil.copy(case / f"{case.name}_flair.nii.gz", root / "flat" / "patient.nii.gz")
    return root


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        # Modalities
        ("predict two.zarr out --model three", 3, "lacks T2 (it has T1, FLAIR)"),
        ("predict two out --model three", 3, "lacks T2 (it has T1, FLAIR)"),
        ("predict four out --model three --modalities T1CE", 2, "reads no modality T1CE"),
        ("predict four out --model three --modalities PET", 2, "reads no modality PET; it reads"),
        ("evaluate two.zarr --model three", 3, "--modalities T1,FLAIR"),
        ("train two.zarr --resume --run stopped", 3, "has no modality T2"),
        ("train two.zarr --modalities T1,T2", 2, "no modality T2; it has T1, FLAIR"),
        ("transfer two.zarr --from three --modalities T2", 2, "no modality T2"),
        ("train four.zarr --modalities ,", 2, "modalities names nothing"),
        # Regions
        ("evaluate less.zarr --model three", 2, "into another store with --regions WT,TC"),
        ("train less.zarr --resume --run stopped", 3, "has no region TC"),
        ("train shifted.zarr --resume --run stopped", 3, "the region WT is of the labels 1+2"),
        ("train four.zarr --regions ET", 2, "no region ET; it has WT, TC"),
        ("train four.zarr --regions WT,WT", 2, "regions holds a name twice"),
        ("train four.zarr --regions ,", 2, "regions names nothing"),
        ("transfer four.zarr --from three --regions ET", 2, "no region ET"),
        # Cases
        ("train bare.zarr", 3, "none of the cases in bare.zarr (2 cases) has a segmentation"),
        ("transfer bare.zarr --from three", 3, "has a segmentation to learn from"),
        ("evaluate bare.zarr --model three", 3, "holds no labelled case"),
        ("train others.zarr --resume --run stopped", 3, "other scans than this run"),
        ("train bare.zarr --resume --run stopped", 3, "has a segmentation"),
        ("train four.zarr --validation-cases nobody", 2, "no usable labelled case nobody"),
        ("train four.zarr --exclude nobody", 2, "cannot exclude nobody"),
        (
            "train four.zarr --exclude BraTS20_Training_001,BraTS20_Training_002,"
            "BraTS20_Training_003",
            2,
            "every labelled case of four.zarr is excluded",
        ),
        ("predict four out --model three --cases ,", 3, "no case is named"),
        ("evaluate four.zarr --model three --cases ,", 3, "no case is named"),
        # Places
        ("predict flat flat --model three --channels FLAIR --allow-missing", 5, "is a scan"),
        (
            "predict flat flat/patient.nii.gz --model three --channels FLAIR --allow-missing",
            5,
            "is a scan that is read here",
        ),
        ("predict four four.zarr --model three", 5, "four.zarr is a store or a run"),
        ("predict four three --model three", 5, "three is a store or a run"),
        ("predict four three/run.json/out --model three", 5, "cannot be written"),
        ("evaluate four.zarr --model three --out three/run.json", 5, "cannot be written"),
        ("evaluate four.zarr --model three --csv three/run.json/a.csv", 5, "cannot be written"),
        ("train four.zarr --out three/run.json/a", 5, "cannot be written"),
        ("train four.zarr --out two.zarr/runs/a", 5, "lies in the store"),
        ("transfer four.zarr --from three --out two.zarr/run", 5, "lies in the store"),
        ("preprocess four two.zarr/cases/four.zarr", 5, "lies in the store"),
        ("predict four two.zarr/masks --model three", 5, "lies in the store"),
        ("export torchscript --model three --out two.zarr/a.pt", 5, "lies in the store"),
        ("share two.zarr/model --model three", 5, "lies in the store"),
        # Names of channels where nothing is to be named
        ("preprocess four new.zarr --channels T1,FLAIR", 2, "named by their modalities"),
        ("predict four out --model three --channels T1", 2, "named by their modalities"),
        ("predict four.zarr out --model three --channels T1", 2, "it tells them itself"),
        # Numbers
        ("train four.zarr --epochs 0", 2, "epochs = 0"),
        ("train four.zarr --learning-rate 1e6", 2, "--learning-rate = 1000000.0"),
        ("train four.zarr --size 48x48", 2, "multiple of 32"),
        ("train four.zarr --config wide.toml --width 12", 2, "width = 12"),
        ("transfer four.zarr --from three --config wide.toml", 2, "has width 8 and the target 16"),
    ],
)
def test_a_wrong_combination(folder: Path, line: str, code: int, message: str) -> None:
    (folder / "wide.toml").write_text("width = 16\n")
    before = everything(folder)
    with chdir(folder):
        computes = line.split()[0] in ("train", "transfer", "predict", "evaluate")
        result = CliRunner().invoke(app, line.split() + COMPUTE.split() * computes)
    assert result.exit_code == code, result.output
    stderr = " ".join(result.stderr.split())
    assert message in stderr and stderr.count("error: ") == 1 and "Traceback" not in stderr
    # Before the first step, the first case and the first file.
    assert "images/s" not in stderr and "predict 1/" not in stderr and "evaluate 1/" not in stderr
    after = everything(folder)
    assert [name for name in after if after[name] != before.get(name)] == []
    assert len(after) == len(before)


def test_a_batch_of_one_at_a_map_of_one(folder: Path, tmp_path: Path) -> None:
    """Where BatchNorm has one value per channel to take its statistics from, it gives zero."""
    cpu = select("cpu", precision="fp32")
    config = TrainConfig(width=8, batch_size=1, epochs=1, slices_per_epoch=12, size=(32, 32))
    report = finish(train(open_store(folder / "four.zarr"), config, cpu, out=tmp_path / "run"))
    assert report.epochs == 1 and np.isfinite(report.best)


def test_a_disk_without_space_is_reported(tmp_path: Path) -> None:
    check_space(tmp_path / "new" / "run", 1000)
    with pytest.raises(OutputError, match=r"would need .* and its disk has .* left"):
        check_space(tmp_path / "new" / "run", 10**18)
    assert not any(tmp_path.iterdir())


def test_a_folder_is_tried_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep")
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        check_writable(tmp_path / "file" / "deep")
