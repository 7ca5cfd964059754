"""Masks for scans: from files or a store, back onto each scan's own grid."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.backends.base import Backend
from mriseg.core.postprocess import remove_minor_components, remove_small, threshold
from mriseg.core.prepare import PreparedCase, prepare
from mriseg.core.regions import label_map
from mriseg.engine.inference import fitted, probabilities, refined
from mriseg.errors import CaseError, InputError, OutputError, StoreError
from mriseg.events import Advanced, Began, Notice, Recipe, Skipped, Wrote
from mriseg.io import nifti, readers
from mriseg.io.disk.space import check_writable
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.readers import ReaderOptions
from mriseg.io.runs import Manifest, Run
from mriseg.io.store import Store, open_store
from mriseg.recipes.load import load_model
from mriseg.report import pictures


@dataclass(frozen=True)
class PredictOptions:
    """How masks are made of probabilities, and what is written.

    Attributes:
        threshold: a voxel is marked above this probability, one for all regions or one for each;
            None: what the run's calibration found, or one half where it has none.
        min_component_share: components below this share of their region's largest are removed, one
            for all regions or one for each; None: as the run's calibration says, or none.
        flips: average over each slice as it is and mirrored as it was in training.
        adapt: blend the encoder's batch-norm statistics with each case's, see
            `mriseg.core.batchnorm.blend_statistics`.
        refine: let each case's own intensities, and slices side by side, have a say in its
            probabilities, see `mriseg.core.refine.refine`.
        min_volume: smaller components are removed; mL, or voxels where the scan states no
            voxel size.
        probabilities: write these too, a file a region.
        overlays: write a picture beside each mask.
        allow_missing: predict cases that lack a modality although training saw none.
        batch_size: slices at a time.
        modalities: use only these of a case; None: all that the model reads.
    """

    threshold: float | tuple[float, ...] | None = None
    min_component_share: float | tuple[float, ...] | None = None
    flips: bool = True
    adapt: bool = True
    refine: bool = True
    min_volume: float = 0.0
    probabilities: bool = False
    overlays: bool = True
    allow_missing: bool = False
    batch_size: int = 16
    modalities: tuple[str, ...] | None = None


@dataclass(frozen=True)
class CasePrediction:
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

    results: tuple[CasePrediction, ...]
    skipped: tuple[tuple[str, str], ...]


def predict(
    source: str | Path | Location,
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
        source: a case's folder, a folder of cases, or a store, which may be given by URL.
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
        OutputError: a result cannot be written, or would be written over a scan.
    """
    options = resolve_options(options, run)
    source = Location.of(source)
    found, assumed = _sources(source, layout, channels)
    if not found:
        raise InputError(f"{source} holds no case")
    if cases is not None:
        if not cases:
            raise InputError("no case is named; leave --cases out for all of them")
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
    targets = {name: out if single else out / f"{stems[name]}.nii.gz" for name in found}
    _check_outputs(out, [*targets.values()], found)
    # What the names of files and the store's attributes tell is told before anything is read.
    unfit = {name: why for name, item in found.items() if (why := _unfit(item, manifest, options))}
    if len(unfit) == len(found):
        raise _none_usable(source, unfit)
    segment = segmenter(run, backend, options)
    results: list[CasePrediction] = []
    skipped: list[tuple[str, str]] = []
    yield Notice(f"model {run.path}: {'+'.join(manifest.modalities)} -> {_names(manifest)}")
    for text in assumed:
        yield Notice(text)
    yield Began("predict", len(found), "case")
    for number, (name, item) in enumerate(found.items(), start=1):
        target = targets[name]
        if results and not target.parent.is_dir():
            raise OutputError(f"{target.parent} is gone, with {len(results)} masks in it")
        try:
            if name in unfit:
                raise CaseError(name, unfit[name])
            case, notices = item.load()
            case = restricted(case, options)
            notices += _missing(name, case, manifest, options)
            for text in notices:
                yield Notice(f"{name}: {text}")
            result = _predict_case(name, case, target, segment(case), manifest, options)
        except InputError as error:
            reason = error.reason if isinstance(error, CaseError) else str(error)
            skipped.append((name, reason))
            yield Skipped(name, reason)
            continue
        results.append(result)
        yield Wrote(target, "mask")
        yield Advanced("predict", number, item=name)
    if not results:
        raise _none_usable(source, dict(skipped))
    return PredictReport(tuple(results), tuple(skipped))


def restricted(case: PreparedCase, options: PredictOptions) -> PreparedCase:
    """``case`` with the modalities that ``options`` leave it.

    Raises:
        InputError: it has none of them.
    """
    return case if options.modalities is None else case.only(options.modalities)


def resolve_options(options: PredictOptions | None, run: Run) -> PredictOptions:
    """``options`` with what the run was calibrated to, where nothing was given."""
    options = options or PredictOptions()
    return replace(
        options,
        threshold=run.thresholds if options.threshold is None else options.threshold,
        min_component_share=(
            run.min_component_shares
            if options.min_component_share is None
            else options.min_component_share
        ),
    )


Segmented = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""Masks and probabilities [r, z, y, x] on a case's cropped grid."""


def segmenter(
    run: Run, backend: Backend, options: PredictOptions
) -> Callable[[PreparedCase], Segmented]:
    """What gives a case its masks and probabilities.

    It raises InputError where the output is not a number, which would look like an empty mask.

    Args:
        run: the model.
        backend: where to compute.
        options: as `resolve_options` gives them.
    """
    manifest, platt = run.manifest, run.platt
    level, share = options.threshold, options.min_component_share
    assert level is not None and share is not None, "resolve_options() gives them"
    fit = fitted(
        load_model(run, backend),
        backend,
        modalities=manifest.modalities,
        frame=manifest.frame,
        adapt=options.adapt,
    )

    def segment(case: PreparedCase) -> Segmented:
        found = probabilities(
            fit(case),
            backend,
            case,
            modalities=manifest.modalities,
            regions=len(manifest.regions),
            frame=manifest.frame,
            batch_size=options.batch_size,
            flips=manifest.mirrored if options.flips else (),
        )
        if not np.isfinite(found).all():
            if case.corrupt_slices:
                raise InputError(
                    f"its slices {', '.join(map(str, case.corrupt_slices))} hold voxels that are "
                    f"NaN or infinite; preprocess it again into a new store"
                )
            raise InputError("the network's output is not a number; try --precision fp32")
        if options.refine:
            found = refined(found, case, manifest.modalities, platt)
        marked = remove_minor_components(threshold(found, level), share)
        return remove_small(marked, options.min_volume, voxel_volume(case)), found

    return segment


def voxel_volume(case: PreparedCase) -> float:
    """Of one voxel: in mL, or 1 where the scan states no voxel size."""
    return case.geometry.voxel_volume / 1000 if case.geometry.unit == "mm" else 1.0


def _predict_case(
    name: str,
    case: PreparedCase,
    target: Path,
    segmented: Segmented,
    manifest: Manifest,
    options: PredictOptions,
) -> CasePrediction:
    masks, found = segmented
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
    return CasePrediction(name, target, volumes, case.geometry.unit)


# Cases that cannot be used, by name.
_TOLD = 5
# File systems take names of 255 bytes, and an ending and a digest come on top.
_LONGEST = 100

Loader = Callable[[], tuple[PreparedCase, list[str]]]


@dataclass(frozen=True)
class _Source:
    """A case that was found and not read.

    Attributes:
        load: reads it.
        modalities: as far as they are known; None where only reading tells.
        files: that it is read from.
    """

    load: Loader
    modalities: tuple[str, ...] | None = None
    files: tuple[Path, ...] = ()


def _sources(
    source: Location, layout: str, channels: Sequence[str] | None
) -> tuple[dict[str, _Source], tuple[str, ...]]:
    """Each case by its name, and what was assumed about all of them."""
    options = ReaderOptions(tuple(channels) if channels else None)
    if what_is(source) is Kind.STORE:
        options.refuse_channels("store", "it tells them itself")
        store = open_store(source)
        return {
            name: _Source(partial(_stored, store, name), case.modalities)
            for name, case in store.cases().items()
        }, ()
    _, found = readers.find(source.path, layout, options)
    cases = {name: _Source(partial(_fail, name, why)) for name, why in found.skipped}
    cases |= {
        case.name: _Source(partial(_load, case), case.modalities, case.files)
        for case in found.cases
    }
    return dict(sorted(cases.items())), found.notices


def _check_outputs(out: Path, targets: Sequence[Path], found: Mapping[str, _Source]) -> None:
    """Refuse to write over what is read, into a store or a run, or where nothing can be."""
    if what_is(out) in (Kind.STORE, Kind.RUN):
        raise OutputError(f"{out} is a store or a run; name another folder for the masks")
    read = {path.resolve(): path for item in found.values() for path in item.files}
    for target in targets:
        if target.resolve() in read:
            raise OutputError(
                f"{target} is a scan that is read here, and its mask would take its place; name "
                f"another folder for the masks"
            )
    check_writable(targets[0].parent)


def _none_usable(source: Location, reasons: Mapping[str, str]) -> InputError:
    told = "; ".join(f"{name}: {reason}" for name, reason in [*reasons.items()][:_TOLD])
    more = f"; and {len(reasons) - _TOLD} more" if len(reasons) > _TOLD else ""
    return InputError(
        f"none of the {len(reasons)} cases under {source} could be used: {told}{more}"
    )


def _stored(store: Store, name: str) -> tuple[PreparedCase, list[str]]:
    try:
        return store.read_case(name), []
    except StoreError as error:
        raise CaseError(name, str(error)) from None


def _load(case: readers.Case) -> tuple[PreparedCase, list[str]]:
    # The segmentation, if there is one, must not shape what a prediction sees.
    loaded = case.load()
    try:
        return prepare(loaded.images, None, loaded.geometry), list(loaded.notices)
    except InputError as error:
        raise CaseError(case.name, str(error)) from None


def _fail(name: str, reason: str) -> tuple[PreparedCase, list[str]]:
    raise CaseError(name, reason)


def _unfit(item: _Source, manifest: Manifest, options: PredictOptions) -> str:
    """Why a case cannot be used, as far as that shows before it is read; or nothing."""
    if item.modalities is None:
        return ""
    kept = item.modalities
    if options.modalities is not None:
        kept = tuple(name for name in kept if name in options.modalities)
    if not kept:
        return (
            f"it has {', '.join(item.modalities)}: nothing is left with "
            f"{', '.join(options.modalities or ())}"
        )
    return _too_few(kept, manifest, options)


def _too_few(has: tuple[str, ...], manifest: Manifest, options: PredictOptions) -> str:
    """Why these modalities are not enough, or nothing."""
    lacking = [m for m in manifest.modalities if m not in has]
    told = ", ".join(has)
    if lacking and len(lacking) == len(manifest.modalities):
        return (
            f"it has {told} and the model reads {', '.join(manifest.modalities)}: none fits; "
            f"if the files do not name their channels, name them with --channels"
        )
    if lacking and not (manifest.incomplete or options.allow_missing):
        return (
            f"it lacks {', '.join(lacking)} (it has {told}), and the model never saw a case "
            f"without; --allow-missing predicts all the same"
        )
    return ""


def _missing(
    name: str, case: PreparedCase, manifest: Manifest, options: PredictOptions
) -> list[str]:
    """What a case lacks, as notices."""
    if why := _too_few(case.modalities, manifest, options):
        raise CaseError(name, why)
    lacking = [m for m in manifest.modalities if m not in case.modalities]
    return [f"lacks {', '.join(lacking)}: the channel reads 0, the brain's mean"] * bool(lacking)


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
