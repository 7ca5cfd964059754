"""Good inputs, which are then damaged: real scans where they are there, phantoms and the sample."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
import torch
from safetensors.torch import save_file

from mriseg.backends import select
from mriseg.core.config import TrainConfig
from mriseg.events import finish
from mriseg.io.runs import open_run
from mriseg.io.sample import sample_dir
from mriseg.io.store import open_store
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.export import export
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.share import share
from mriseg.recipes.train import train
from mriseg.testing import phantoms
from tests.fuzz.containers_ import Files, plant_containers, plant_h5
from tests.fuzz.dicom_ import plant_dicom
from tests.fuzz.exports_ import plant_exports
from tests.vgg import vgg16_bn

_SHAPE = (4, 34, 32)
# Slices that are kept of a patient's scan: what is done to one file is done in a millisecond.
_SLICES = 3
_CORNER = (40, 40, 8)
# Of the files of a case, in the order of their names.
_CONTAINERS = (".mha", ".hdr", ".nhdr", ".mgz", ".nrrd")


@dataclass(frozen=True)
class Seeds:
    """Good inputs on the disk, and in memory what is small.

    Attributes:
        folders: of scans, by the name of what they are like.
        images: unpacked NIfTI files.
        containers: the files of one image in each other container, by its name.
        store: of two cases.
        run: of a training of one epoch on it, which can be resumed.
        model: the run as it is shared.
        evaluation: the text of an ``evaluation.json``.
        weights: ``.pth`` and ``.safetensors`` of a VGG16-BN whose weights are all one number.
        exported: a TorchScript file.
        exports: the end of its name -> a file of each format, that one among them.
    """

    folders: dict[str, Path]
    images: tuple[bytes, ...]
    containers: dict[str, Files]
    store: Path
    run: Path
    model: Path
    evaluation: bytes
    weights: dict[str, bytes]
    exported: bytes
    exports: dict[str, bytes]


def plant(root: Path) -> Seeds:
    """Make them all under ``root``; a few seconds."""
    folders = _folders(root / "scans")
    store, run, model = root / "store.zarr", root / "run", root / "model"
    finish(preprocess(folders["brats"], store, regions="WT,TC", workers=1))
    cpu = select("cpu", precision="fp32")
    config = TrainConfig(width=8, epochs=2, batch_size=4, validation=0.5)
    finish(train(open_store(store), config, cpu, out=run))
    finish(share(open_run(run), model, data="phantoms"))
    report = finish(evaluate(open_store(store), open_run(run), cpu))
    finish(export(open_run(run), out=root / "model.torchscript.pt"))
    exported = (root / "model.torchscript.pt").read_bytes()
    return Seeds(
        folders=folders,
        images=tuple(_unpacked(root / "scans")),
        containers=plant_containers(root / "containers"),
        store=store,
        run=run,
        model=model,
        evaluation=json.dumps(report.to_json()).encode(),
        weights=_weights(root),
        exported=exported,
        exports=plant_exports(root / "exports", exported),
    )


def _folders(root: Path) -> dict[str, Path]:
    phantoms.write_brats(root / "brats", 2, shape=_SHAPE)
    phantoms.write_brats(root / "brats2023", 1, shape=_SHAPE, names="2023", gz=False)
    phantoms.write_nnunet(root / "nnunet", 2, shape=_SHAPE, modalities=("t1", "flair"))
    phantoms.write_nnunet(root / "msd", 2, shape=_SHAPE, style="msd", modalities=("t1", "flair"))
    phantoms.write_nnunet(root / "plain", 2, shape=_SHAPE, style="plain")
    phantoms.write_lgg(root / "lgg", 1, shape=(3, 34, 32))
    shutil.copytree(root / "plain" / "images", root / "flat")
    plant_h5(root / "h5", _SLICES)
    plant_dicom(root / "dicom")
    _in_other_containers(root / "mixed")
    _few_slices(sample_dir(), root / "sample")
    _real(root)
    return {path.name: path for path in sorted(root.iterdir())}


def _in_other_containers(root: Path) -> None:
    """A case whose files are in a container each."""
    # It prints what it leaves out of NIfTI's headers.
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    (folder,) = phantoms.write_brats(root, 1, shape=_SHAPE, gz=False)
    for path, ending in zip(sorted(folder.iterdir()), _CONTAINERS, strict=True):
        if ending == ".mgz":
            image = nib.load(path)
            voxels = np.asarray(image.dataobj, dtype=np.float32)
            nib.save(nib.MGHImage(voxels, image.affine), path.with_suffix(ending))
        else:
            SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(path.with_suffix(ending)))
        path.unlink()


def _few_slices(source: Path, to: Path) -> None:
    patient = sorted(path for path in source.iterdir() if path.is_dir())[0]
    (to / patient.name).mkdir(parents=True)
    for number in range(9, 9 + _SLICES):
        for ending in ("", "_mask"):
            name = f"{patient.name}_{number}{ending}.tif"
            shutil.copy(patient / name, to / patient.name / name)


def _real(root: Path) -> None:
    """A corner of each of a few real scans, under their own headers."""
    data = Path(os.environ.get("MRISEG_DATA", Path(__file__).parents[3] / "shared" / "data"))
    for name, pattern in {
        "real-brats": "brats/*/*.nii*",
        "real-ms": "ms-lesions/*/*.nii*",
        "real-hippocampus": "hippocampus/*/*.nii*",
    }.items():
        paths = sorted(data.glob(pattern))
        for path in [p for p in paths if p.parent == paths[0].parent or "hippo" in name][:8]:
            to = root / name / path.parent.name / path.name
            to.parent.mkdir(parents=True, exist_ok=True)
            image = nib.load(path)
            middle = [max(0, n // 2 - c // 2) for n, c in zip(image.shape, _CORNER, strict=False)]
            cut = tuple(slice(m, m + c) for m, c in zip(middle, _CORNER, strict=True))
            nib.save(image.slicer[cut], to)


def _unpacked(root: Path) -> list[bytes]:
    """Each kind of NIfTI file once: by its type, its axes and who wrote it."""
    images: dict[tuple[object, ...], bytes] = {}
    for path in sorted(root.rglob("*.nii*")):
        image = nib.load(path)
        kind = (image.get_data_dtype(), image.ndim, path.relative_to(root).parts[0])
        images.setdefault(kind, image.to_bytes())
    for dtype in (np.float32, np.float64, np.int8, np.uint16, np.int64):
        array = (np.arange(480) % 7).reshape(10, 8, 6)
        image = nib.Nifti2Image(array.astype(dtype), np.diag([1.0, 2, 3, 1]), dtype=dtype)
        images[(dtype,)] = image.to_bytes()
    flat = nib.Nifti1Image(np.arange(80, dtype=np.int16).reshape(10, 8), np.eye(4))
    return [*images.values(), flat.to_bytes()]


def _weights(root: Path) -> dict[str, bytes]:
    # One number a tensor, seen from everywhere: a file of kilobytes with VGG16's shapes.
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in vgg16_bn().state_dict().items()}
    state = {key: torch.tensor(0.01).expand(shape) for key, shape in shapes.items()}
    torch.save(state, root / "vgg.pth")
    torch.save(state, root / "old.pth", _use_new_zipfile_serialization=False)
    few = {f"features.{n}.weight": torch.zeros(2, 3) for n in range(3)}
    save_file(few, root / "vgg.safetensors")
    return {name: (root / name).read_bytes() for name in ("vgg.pth", "old.pth", "vgg.safetensors")}
