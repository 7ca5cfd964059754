"""Masks for scans: from files or a store, back onto each scan's own grid."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mriseg.backends.base import Backend
from mriseg.core.postprocess import remove_minor, remove_small, threshold
from mriseg.core.prepare import Prepared, prepare
from mriseg.core.regions import label_map
from mriseg.errors import CaseError, InputError, OutputError, StoreError
from mriseg.io import nifti, pictures, readers
from mriseg.io.readers import ReaderOptions
from mriseg.io.runs import Manifest, Run
from mriseg.io.store import Store, open_store
from mriseg.recipes.events import Advanced, Began, Notice, Recipe, Skipped, Wrote
from mriseg.recipes.inference import probabilities, ready
from mriseg.recipes.models import load_model


@dataclass(frozen=True)
class PredictOptions:
    """How masks are made of probabilities, and what is written.

    Attributes:
        threshold: a voxel is marked above this probability, one for all regions or one for each;
            None: what the run's calibration found, or one half where it has none.
        minor: components below this share of their region's largest are removed, one for all
            regions or one for each; None: as the run's calibration found, or none.
        flips: average over the four mirrorings of each slice.
        minimum_volume: smaller components are removed; mL, or voxels where the scan states no
            voxel size.
        probabilities: write these too, a file a region.
        overlays: write a picture beside each mask.
        allow_missing: predict cases that lack a modality although training saw none.
        batch_size: slices at a time.
        modalities: use only these of a case; None: all that the model reads.
    """

    threshold: float | tuple[float, ...] | None = None
    minor: float | tuple[float, ...] | None = None
    flips: bool = False
    minimum_volume: float = 0.0
    probabilities: bool = False
    overlays: bool = True
    allow_missing: bool = False
    batch_size: int = 16
    modalities: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Predicted:
    """One case's result.

    Attributes:
        case: its name.
        mask: the file; labels as `mriseg.core.regions.label_map` numbers them, one region is 1.
        volumes: region -> mL (or voxels where the scan states no voxel size).
        unit: "mm" or "px".
    """

    case: str
    mask: Path
    volumes: dict[str, float]
    unit: str


@dataclass(frozen=True)
class PredictReport:
    """What `predict` did: the results, and (case, reason) of what was skipped."""

    results: tuple[Predicted, ...]
    skipped: tuple[tuple[str, str], ...]


def predict(
    source: Path,
    out: Path,
    run: Run,
    backend: Backend,
    options: PredictOptions | None = None,
    *,
    layout: str = "auto",
    channels: Sequence[str] | None = None,
    cases: Sequence[str] | None = None,
) -> Recipe[PredictReport]:
    """Predict every case under ``source``. One case is in memory at a time.

    Args:
        source: a case's folder, a folder of cases, or a store.
        out: a folder, made if need be; or, for a single case, a file named .nii or .nii.gz.
        run: the model.
        backend: where to compute.
        options: None: the defaults.
        layout: of ``source``, as in `mriseg.recipes.preprocess.preprocess`.
        channels: names of the channels, for layouts whose files do not name them.
        cases: only these; None: all.

    Returns:
        The results. A case that cannot be used is skipped and told.

    Raises:
        InputError: there is no case, or none could be used.
        OutputError: a result cannot be written.
    """
    options = settled(options, run)
    found, assumed = _sources(source, layout, channels)
    if cases is not None:
        lacking = [name for name in cases if name not in found]
        if lacking:
            raise InputError(
                f"{source} holds no case {', '.join(lacking)}; it has {', '.join(found)}"
            )
        found = {name: found[name] for name in cases}
    single = nifti.is_nifti(out)
    if single and len(found) != 1:
        raise InputError(
            f"{source} holds {len(found)} cases, and {out} is one file; name a folder instead"
        )
    manifest = run.manifest
    regions = manifest.regions if options.probabilities else ()
    stems = file_stems(found, regions)
    network = ready(load_model(run, backend), backend)
    results: list[Predicted] = []
    skipped: list[tuple[str, str]] = []
    yield Notice(f"model {run.path}: {'+'.join(manifest.modalities)} -> {_names(manifest)}")
    for text in assumed:
        yield Notice(text)
    yield Began("predict", len(found), "case")
    for number, (name, load) in enumerate(found.items(), start=1):
        target = out if single else out / f"{stems[name]}.nii.gz"
        if results and not target.parent.is_dir():
            raise OutputError(f"{target.parent} is gone, with {len(results)} masks in it")
        try:
            case, notices = load()
            case = restricted(case, options)
            notices += _missing(name, case, manifest, options)
            for text in notices:
                yield Notice(f"{name}: {text}")
            result = _predict_case(name, case, target, network, backend, manifest, options)
        except InputError as error:
            reason = error.reason if isinstance(error, CaseError) else str(error)
            skipped.append((name, reason))
            yield Skipped(name, reason)
            continue
        results.append(result)
        yield Wrote(target, "mask")
        yield Advanced("predict", number, item=name)
    if not results:
        told = "; ".join(f"{name}: {reason}" for name, reason in skipped)
        raise InputError(f"none of the {len(found)} cases under {source} could be used: {told}")
    return PredictReport(tuple(results), tuple(skipped))


def restricted(case: Prepared, options: PredictOptions) -> Prepared:
    """``case`` with the modalities that ``options`` leave it.

    Raises:
        InputError: it has none of them.
    """
    return case if options.modalities is None else case.only(options.modalities)


def settled(options: PredictOptions | None, run: Run) -> PredictOptions:
    """``options`` with what the run was calibrated to, where nothing was given."""
    options = options or PredictOptions()
    return replace(
        options,
        threshold=run.thresholds if options.threshold is None else options.threshold,
        minor=run.minor if options.minor is None else options.minor,
    )


def segment(
    case: Prepared,
    network: nn.Module,
    backend: Backend,
    manifest: Manifest,
    options: PredictOptions,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Masks and probabilities [r, z, y, x] on the case's cropped grid.

    Raises:
        InputError: the output is not a number, which would look like an empty mask.
    """
    found = probabilities(
        network,
        backend,
        case,
        modalities=manifest.modalities,
        regions=len(manifest.regions),
        frame=manifest.frame,
        batch_size=options.batch_size,
        flips=options.flips,
    )
    if not np.isfinite(found).all():
        if case.broken:
            raise InputError(
                f"its slices {', '.join(map(str, case.broken))} hold voxels that are NaN or "
                f"infinite; preprocess it again into a new store"
            )
        raise InputError("the network's output is not a number; try --precision fp32")
    assert options.threshold is not None and options.minor is not None, "settled() gives them"
    marked = remove_minor(threshold(found, options.threshold), options.minor)
    return remove_small(marked, options.minimum_volume, voxel_volume(case)), found


def voxel_volume(case: Prepared) -> float:
    """Of one voxel: in mL, or 1 where the scan states no voxel size."""
    return case.geometry.voxel_volume / 1000 if case.geometry.unit == "mm" else 1.0


def _predict_case(
    name: str,
    case: Prepared,
    target: Path,
    network: nn.Module,
    backend: Backend,
    manifest: Manifest,
    options: PredictOptions,
) -> Predicted:
    masks, found = segment(case, network, backend, manifest, options)
    stem = nifti.stem(target)
    nifti.write(target, label_map(case.to_source(masks), manifest.regions), case.geometry)
    if options.probabilities:
        for region, values in zip(manifest.regions, case.to_source(found), strict=True):
            path = target.with_name(f"{stem}{_ending(region)}.nii.gz")
            nifti.write(path, values.astype(np.float32), case.geometry)
    volumes = {
        region: float(masks[r].sum()) * voxel_volume(case)
        for r, region in enumerate(manifest.regions)
    }
    if options.overlays:
        shown = "FLAIR" if "FLAIR" in case.modalities else case.modalities[0]
        pictures.overlay(
            target.with_name(f"{stem}.png"),
            case.channels((shown,))[0],
            masks,
            case.geometry.spacing,
            name,
            tuple(manifest.regions),
            unit=case.geometry.unit,
        )
    return Predicted(name, target, volumes, case.geometry.unit)


# File systems take names of 255 bytes, and an ending and a digest come on top.
_LONGEST = 100

Loader = Callable[[], tuple[Prepared, list[str]]]


def _sources(
    source: Path, layout: str, channels: Sequence[str] | None
) -> tuple[dict[str, Loader], tuple[str, ...]]:
    """How to load each case by its name, and what was assumed about all of them."""
    if (source / "zarr.json").exists():
        store = open_store(source)
        return {name: partial(_stored, store, name) for name in store.cases()}, ()
    _, found = readers.find(source, layout, ReaderOptions(tuple(channels) if channels else None))
    loaders: dict[str, Loader] = {name: partial(_fail, name, why) for name, why in found.skipped}
    loaders |= {case.name: partial(_load, case) for case in found.cases}
    return dict(sorted(loaders.items())), found.notices


def _stored(store: Store, name: str) -> tuple[Prepared, list[str]]:
    try:
        return store.read_case(name), []
    except StoreError as error:
        raise CaseError(name, str(error)) from None


def _load(case: readers.Case) -> tuple[Prepared, list[str]]:
    # The segmentation, if there is one, must not shape what a prediction sees.
    loaded = case.load()
    try:
        return prepare(loaded.images, None, loaded.geometry), list(loaded.notices)
    except InputError as error:
        raise CaseError(case.name, str(error)) from None


def _fail(name: str, reason: str) -> tuple[Prepared, list[str]]:
    raise CaseError(name, reason)


def _missing(name: str, case: Prepared, manifest: Manifest, options: PredictOptions) -> list[str]:
    lacking = [m for m in manifest.modalities if m not in case.modalities]
    if not lacking:
        return []
    has = ", ".join(case.modalities)
    if len(lacking) == len(manifest.modalities):
        raise CaseError(
            name,
            f"it has {has} and the model reads {', '.join(manifest.modalities)}: none fits; "
            f"if the files do not name their channels, name them with --channels",
        )
    if not (manifest.incomplete or options.allow_missing):
        raise CaseError(
            name,
            f"it lacks {', '.join(lacking)} (it has {has}), and the model never saw a case "
            f"without; --allow-missing predicts all the same",
        )
    return [f"lacks {', '.join(lacking)}: the channel reads 0, the brain's mean"]


def file_stems(cases: Iterable[str], regions: Iterable[str] = ()) -> dict[str, str]:
    """For each case, what its files are called, so that none is another case's.

    The case's name, where a file can have it; or else what is left of it, and a digest of the
    name. Names that differ in nothing but case are one on some systems, and a mask of
    probabilities may be called as another case's mask: these get a digest too.

    Args:
        cases: their names.
        regions: names of those that get a file of their own for each case.

    Raises:
        InputError: names were chosen to have one file for all that.
    """
    cases, endings = sorted(cases), ["", *(_ending(region) for region in regions)]
    plain = {name: _in_file(name) for name in cases}
    taken = Counter((plain[name] + ending).casefold() for name in cases for ending in endings)
    found = {
        name: stem
        if all(taken[(stem + ending).casefold()] == 1 for ending in endings)
        else _with_digest(stem, name)
        for name, stem in plain.items()
    }
    if len({stem.casefold() for stem in found.values()}) < len(found):
        raise InputError(f"the names of cases are made to collide: {', '.join(cases[:5])}, ...")
    return found


def _ending(region: str) -> str:
    return f"_prob_{_in_file(region)}"


def _in_file(name: str) -> str:
    """``name`` as a part of a file's name: never a path, never hidden, and no other name's."""
    found = re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]|^\.', "_", name)
    if found == name and len(name.encode()) <= _LONGEST:
        return name
    return _with_digest(found, name)


def _with_digest(stem: str, name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = stem.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
    return f"{short}-{digest}"


def _names(manifest: Manifest) -> str:
    return ", ".join(manifest.regions)
