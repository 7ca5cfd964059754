"""What is fuzzed: how an input of each kind is damaged, and what mriseg then does with it."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from mriseg.backends import select
from mriseg.cli.settings import read_settings
from mriseg.core.config import TrainConfig
from mriseg.core.prepare import prepare
from mriseg.core.pretrained import encoder_from_vgg16_bn
from mriseg.core.segnet import SegNetConfig
from mriseg.core.train_settings import training_config
from mriseg.events import finish
from mriseg.io import images, nifti, readers
from mriseg.io.runs import open_run
from mriseg.io.runs.encoder_weights import load_encoder_weights
from mriseg.io.store import open_store
from mriseg.recipes.evaluate_masks import evaluate_masks
from mriseg.recipes.info import holds
from mriseg.recipes.inspect import inspect
from mriseg.recipes.load import load_model
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import resume
from mriseg.recipes.share import share
from mriseg.recipes.train import train
from mriseg.recipes.verify import check_whole, verify
from tests.fuzz.box import Box
from tests.fuzz.bytes_ import damaged
from tests.fuzz.containers_ import damaged_container, image_of
from tests.fuzz.dicom_ import damaged_dicom
from tests.fuzz.exports_ import damaged_export
from tests.fuzz.json_ import damaged_text
from tests.fuzz.nifti_ import damaged_nifti, packed
from tests.fuzz.pickles import pickled
from tests.fuzz.safetensors_ import damaged_safetensors
from tests.fuzz.seeds import Seeds
from tests.fuzz.table_ import damaged_table, written_table
from tests.fuzz.toml_ import damaged_toml
from tests.fuzz.tree import disturbed


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        damage: puts a bad input into the box.
        read: what mriseg does with it, and writes into the box's ``out``.
        weight: how many of a campaign's inputs are of this kind, beside the others' weights.
    """

    damage: Callable[[Random, Seeds, Box], None]
    read: Callable[[Random, Seeds, Box], None]
    weight: int


# NIfTI


def _bad_nifti(rng: Random, seeds: Seeds, box: Box) -> None:
    data = damaged_nifti(rng, rng.choice(seeds.images))
    if rng.random() < 0.5:
        (box.given / "scan.nii").write_bytes(data)
    else:
        (box.given / "scan.nii.gz").write_bytes(packed(rng, data))


def _read_nifti(rng: Random, seeds: Seeds, box: Box) -> None:
    (path,) = box.given.iterdir()
    _use(path, box)


def _use(path: Path, box: Box) -> None:
    """What is done to any image: it is prepared, and a mask is put onto it."""
    channels, grid, _ = images.read_channels(path)
    named = {f"channel{index}": array for index, array in enumerate(channels)}
    case = prepare(named, None, grid)
    mask = case.to_source(np.ones((1, *case.box.shape), dtype=np.uint8))[0]
    nifti.write(box.out / "mask.nii.gz", mask, grid)
    again, same = nifti.read(box.out / "mask.nii.gz")
    assert np.array_equal(again, mask) and same.shape == grid.shape
    nifti.integer_labels(channels[0])


# Other containers


def _bad_container(rng: Random, seeds: Seeds, box: Box) -> None:
    files = damaged_container(rng, seeds.containers[rng.choice(list(seeds.containers))])
    for name, data in files.items():
        (box.given / name).write_bytes(data)


def _read_container(rng: Random, seeds: Seeds, box: Box) -> None:
    for path in box.given.iterdir():
        images.kind_of(path)
    _use(image_of(box.given), box)


def _bad_h5(rng: Random, seeds: Seeds, box: Box) -> None:
    shutil.copytree(seeds.folders["h5"], box.given, dirs_exist_ok=True)
    path = rng.choice(sorted(box.given.iterdir()))
    path.write_bytes(damaged(rng, path.read_bytes()))


def _read_h5(rng: Random, seeds: Seeds, box: Box) -> None:
    options = readers.ReaderOptions(("T1", "T1CE", "T2", "FLAIR"))
    _, listing = readers.find(box.given, "h5", options)
    for case in listing.cases:
        loaded = case.load()
        prepare(loaded.images, loaded.labels, loaded.geometry)


# DICOM


def _bad_dicom(rng: Random, seeds: Seeds, box: Box) -> None:
    shutil.copytree(seeds.folders["dicom"], box.given, dirs_exist_ok=True)
    files = sorted(path for path in box.given.rglob("*") if path.is_file())
    # A whole series alike, or single files.
    chosen = files if rng.random() < 0.2 else [rng.choice(files) for _ in range(rng.choice((1, 2)))]
    seed = rng.random()
    for path in chosen:
        path.write_bytes(damaged_dicom(Random(seed), path.read_bytes()))


def _read_dicom(rng: Random, seeds: Seeds, box: Box) -> None:
    if rng.random() < 0.2:
        finish(inspect(box.given, layout="dicom", workers=1, csv=box.out / "cases.csv"))
        return
    _, listing = readers.find(box.given, "dicom")
    for case in listing.cases:
        loaded = case.load()
        prepare(loaded.images, loaded.labels, loaded.geometry)


# Folders of scans


def _bad_folder(rng: Random, seeds: Seeds, box: Box) -> None:
    name = rng.choice(list(seeds.folders))
    shutil.copytree(seeds.folders[name], box.given, dirs_exist_ok=True)
    for _ in range(rng.choice((1, 1, 2))):
        _damage_one(rng, box)
    if rng.random() < 0.6:
        disturbed(rng, box)


def _damage_one(rng: Random, box: Box) -> None:
    files = sorted(path for path in box.given.rglob("*") if path.is_file())
    described = [path for path in files if path.suffix == ".json"]
    path = rng.choice(described if described and rng.random() < 0.4 else files)
    data = path.read_bytes()
    if path.suffix == ".json":
        path.write_bytes(damaged_text(rng, data))
    elif path.suffix == ".nii":
        path.write_bytes(damaged_nifti(rng, data))
    elif path.suffix == ".gz" and _whole(data):
        path.write_bytes(packed(rng, damaged_nifti(rng, gzip.decompress(data))))
    else:
        path.write_bytes(damaged(rng, data))


def _whole(data: bytes) -> bool:
    """Whether a gzip file was not damaged before."""
    try:
        gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return False
    return True


def _read_folder(rng: Random, seeds: Seeds, box: Box) -> None:
    layout = rng.choice(("auto", "auto", "auto", *readers.READERS))
    way = rng.random()
    if way < 0.2:
        finish(inspect(box.given, layout=layout, workers=1))
    elif way < 0.7:
        report = finish(preprocess(box.given, box.out / "new.zarr", layout=layout, workers=1))
        assert report.cases
        open_store(box.out / "new.zarr").index()
    elif way < 0.85:
        _predict(rng, box.given, seeds.run, box, layout)
    else:
        finish(evaluate_masks(box.given, seeds.folders["plain"] / "labels", pictures=False))


def _predict(rng: Random, source: Path, run: Path, box: Box, layout: str = "auto") -> None:
    options = PredictOptions(
        allow_missing=True, probabilities=rng.random() < 0.5, overlays=rng.random() < 0.3
    )
    cpu = select("cpu", precision="fp32")
    finish(predict(source, box.out / "masks", open_run(run), cpu, options, layout=layout))


# Tables of cases


def _bad_table(rng: Random, seeds: Seeds, box: Box) -> None:
    shutil.copytree(seeds.folders["brats"], box.given, dirs_exist_ok=True)
    path = written_table(box.given)
    path.write_bytes(damaged_table(rng, path.read_bytes()))


def _read_table(rng: Random, seeds: Seeds, box: Box) -> None:
    table = box.given / "cases.csv"
    if rng.random() < 0.5:
        finish(inspect(table, workers=1, csv=box.out / "again.csv"))
    else:
        finish(preprocess(table, box.out / "new.zarr", workers=1))


# TIFF slices


def _bad_slices(rng: Random, seeds: Seeds, box: Box) -> None:
    name = rng.choice(("lgg", "sample"))
    shutil.copytree(seeds.folders[name], box.given, dirs_exist_ok=True)
    files = sorted(box.given.rglob("*.tif"))
    for _ in range(rng.choice((1, 1, 2))):
        path = rng.choice(files)
        path.write_bytes(damaged(rng, path.read_bytes()))


def _read_slices(rng: Random, seeds: Seeds, box: Box) -> None:
    _, listing = readers.find(box.given, "lgg")
    for case in listing.cases:
        loaded = case.load()
        prepare(loaded.images, loaded.labels, loaded.geometry)


# Stores


def _bad_store(rng: Random, seeds: Seeds, box: Box) -> None:
    shutil.copytree(seeds.store, box.given, dirs_exist_ok=True)
    files = sorted(path for path in box.given.rglob("*") if path.is_file())
    if rng.random() < 0.8:
        described = [path for path in files if path.name == "zarr.json"]
        path = rng.choice(described if rng.random() < 0.7 else files)
        change = damaged_text if path.suffix == ".json" else damaged
        path.write_bytes(change(rng, path.read_bytes()))
    else:
        disturbed(rng, box)


def _read_store(rng: Random, seeds: Seeds, box: Box) -> None:
    way = rng.random()
    if way > 0.85:
        check_whole(finish(verify(box.given)))
        return
    holds(box.given)
    store = open_store(box.given)
    index = store.index()
    if way < 0.06:
        config = TrainConfig(width=8, epochs=1, batch_size=4, slices_per_epoch=4)
        cpu = select("cpu", precision="fp32")
        finish(train(store, config, cpu, out=box.out / "run"))
    elif way < 0.2:
        _predict(rng, box.given, seeds.run, box)
    else:
        for case in index.cases:
            store.geometry(case.name)
            store.read_case(case.name)


# Runs


def _bad_run(rng: Random, seeds: Seeds, box: Box) -> None:
    # Where it may be written to, since a training goes on in its folder.
    shutil.copytree(rng.choice((seeds.run, seeds.run, seeds.model)), box.out / "run")
    run = box.out / "run"
    way = rng.random()
    if way < 0.45:
        (run / "run.json").write_bytes(damaged_text(rng, (run / "run.json").read_bytes()))
    elif way < 0.8:
        path = rng.choice([path for path in sorted(run.iterdir()) if path.suffix == ".safetensors"])
        path.write_bytes(damaged_safetensors(rng, path.read_bytes()))
    elif way < 0.9 and (run / "log.jsonl").exists():
        lines = (run / "log.jsonl").read_bytes().splitlines()
        lines[rng.randrange(len(lines))] = damaged_text(rng, lines[0])
        (run / "log.jsonl").write_bytes(b"\n".join(lines))
    else:
        disturbed(rng, Box(box.root, run, box.out, box.outside))


def _read_run(rng: Random, seeds: Seeds, box: Box) -> None:
    path = box.out / "run"
    way = rng.random()
    if way > 0.85:
        check_whole(finish(verify(path)))
        return
    run = open_run(path)
    holds(path)
    cpu = select("cpu", precision="fp32")
    if way < 0.1 and run.has("last") and not run.ended:
        finish(resume(run, cpu, store=open_store(seeds.store)))
    elif way < 0.3:
        _predict(rng, seeds.store, path, box)
    elif way < 0.5:
        finish(share(run, box.out / "shared"))
    else:
        run.read_log()
        assert len(run.calibration().regions) == len(run.manifest.regions)
        load_model(run, cpu)


# Settings


def _bad_settings(rng: Random, seeds: Seeds, box: Box) -> None:
    (box.given / "settings.toml").write_bytes(damaged_toml(rng))


def _read_settings(rng: Random, seeds: Seeds, box: Box) -> None:
    training_config(read_settings(box.given / "settings.toml"))


# Weights of others


def _bad_weights(rng: Random, seeds: Seeds, box: Box) -> None:
    name = rng.choice(list(seeds.weights))
    data = seeds.weights[name]
    way = rng.random()
    if name.endswith(".safetensors"):
        data = damaged_safetensors(rng, data)
    elif way < 0.6:
        data = damaged(rng, data)
    else:
        data = pickled(rng, str(box.outside))
    ending = name if rng.random() < 0.9 else rng.choice(("x.npy", "x.pt", "x.safetensors", "x.pth"))
    (box.given / ending).write_bytes(data)


def _read_weights(rng: Random, seeds: Seeds, box: Box) -> None:
    (path,) = box.given.iterdir()
    state = load_encoder_weights(path)
    encoder_from_vgg16_bn(state, SegNetConfig(in_channels=2, classes=1), ("T1", "FLAIR"))


# Evaluations


def _bad_evaluation(rng: Random, seeds: Seeds, box: Box) -> None:
    (box.given / "evaluation.json").write_bytes(damaged_text(rng, seeds.evaluation))


def _read_evaluation(rng: Random, seeds: Seeds, box: Box) -> None:
    given = {"FLAIR": box.given / "evaluation.json"}
    finish(share(open_run(seeds.run), box.out / "shared", evaluations=given))


# Exported files


def _bad_export(rng: Random, seeds: Seeds, box: Box) -> None:
    suffix = rng.choice(list(seeds.exports))
    data = damaged_export(rng, suffix, seeds.exports[suffix])
    # Under its own name, or another format's: content decides.
    name = suffix if rng.random() < 0.8 else rng.choice(list(seeds.exports))
    (box.given / f"model{name}").write_bytes(data)


def _read_export(rng: Random, seeds: Seeds, box: Box) -> None:
    (path,) = box.given.iterdir()
    check_whole(finish(verify(path)))


TARGETS: dict[str, Target] = {
    "nifti": Target(_bad_nifti, _read_nifti, 30),
    "containers": Target(_bad_container, _read_container, 20),
    "h5": Target(_bad_h5, _read_h5, 6),
    "dicom": Target(_bad_dicom, _read_dicom, 12),
    "tiff": Target(_bad_slices, _read_slices, 8),
    "folder": Target(_bad_folder, _read_folder, 20),
    "table": Target(_bad_table, _read_table, 8),
    "store": Target(_bad_store, _read_store, 12),
    "run": Target(_bad_run, _read_run, 12),
    "settings": Target(_bad_settings, _read_settings, 8),
    "weights": Target(_bad_weights, _read_weights, 6),
    "exported": Target(_bad_export, _read_export, 8),
    "evaluation": Target(_bad_evaluation, _read_evaluation, 4),
}
