"""Masks for scans: from files or a store, back onto each scan's own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mriseg.backends.base import Backend
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import label_map
from mriseg.engine.segmenter import Segmentation, Segmenter, SegmentOptions
from mriseg.errors import CaseError, InputError, OutputError
from mriseg.events import Advanced, Began, Notice, Partly, R, Recipe, Skipped, Wrote, reporting
from mriseg.io import nifti
from mriseg.io.disk.space import check_writable
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.readers.base import none_usable
from mriseg.io.runs import Manifest, Run
from mriseg.io.writers import WRITERS, Output
from mriseg.io.writers.names import file_stems
from mriseg.recipes.load import load
from mriseg.recipes.sources import Source, choose, list_sources
from mriseg.report import pictures


@dataclass(frozen=True)
class PredictOptions(SegmentOptions):
    """How masks are made of probabilities, and what is written.

    Attributes:
        probabilities: also write a probability map per region.
        overlays: write a picture beside each mask.
        allow_missing: predict cases that lack a modality although training saw none.
        modalities: use only these of a case; None: all that the model reads.
    """

    probabilities: bool = False
    overlays: bool = True
    allow_missing: bool = False
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
        out: a folder, created if needed; or, for a single case, a file named .nii or .nii.gz.
        run: the model.
        backend: where to compute.
        options: None: the defaults.
        layout: of ``source``, as in `mriseg.recipes.preprocess.preprocess`.
        channels: names of the channels, for layouts whose files do not name them.
        cases: only these; None: all.

    Returns:
        The results. A case that cannot be used is skipped and reported.

    Raises:
        InputError: there is no case, or none could be used.
        OutputError: a result cannot be written, or would be written over a scan.
    """
    options, manifest = options or PredictOptions(), run.manifest
    source = Location.of(source)
    listed, assumed = list_sources(source, layout, channels)
    chosen = choose(source, listed, cases)
    targets = _targets(source, out, chosen, manifest.regions if options.probabilities else ())
    # What the names of files and the store's attributes say is reported before anything is read.
    unfit = {name: why for name, case in chosen.items() if (why := _unfit(case, manifest, options))}
    if len(unfit) == len(chosen):
        raise none_usable(source, unfit)
    segmenter = Segmenter(load(run), options)
    regions = ", ".join(manifest.regions)
    yield Notice(f"model {run.path}: {'+'.join(manifest.modalities)} -> {regions}")
    for text in assumed:
        yield Notice(text)
    results: list[CasePrediction] = []
    skipped: list[tuple[str, str]] = []
    yield Began("predict", len(chosen), "case")
    for number, (name, item) in enumerate(chosen.items(), start=1):
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
            work = segmenter.segmenting(case, backend)
            segmentation = yield from in_parts(work, "predict", number, name)
        except InputError as error:
            reason = error.reason if isinstance(error, CaseError) else str(error)
            skipped.append((name, reason))
            yield Skipped(name, reason)
            yield Advanced("predict", number, item=name)
            continue
        results.append(_write(name, case, item, segmentation, target, options, manifest))
        yield Wrote(target, "mask")
        yield Advanced("predict", number, item=name)
    if not results:
        raise none_usable(source, dict(skipped))
    return PredictReport(tuple(results), tuple(skipped))


def in_parts(work: Partly[R], stage: str, number: int, name: str) -> Recipe[R]:
    """``work`` on the case ``number`` of a stage, counted from 1, that reports how far it is."""
    return reporting(work, lambda share: Advanced(stage, number - 1 + share, item=name))


def restricted(case: PreparedCase, options: PredictOptions) -> PreparedCase:
    """``case`` with the modalities that ``options`` leave it.

    Raises:
        InputError: it has none of them.
    """
    return case if options.modalities is None else case.only(options.modalities)


def _write(
    name: str,
    case: PreparedCase,
    source: Source,
    segmentation: Segmentation,
    target: Path,
    options: PredictOptions,
    manifest: Manifest,
) -> CasePrediction:
    """Write a case's mask, probability maps and picture."""
    masks, regions = segmentation.masks, manifest.regions
    maps = (
        dict(zip(regions, case.to_source(segmentation.probabilities), strict=True))
        if options.probabilities
        else {}
    )
    labels = label_map(case.to_source(masks), regions)
    WRITERS["nifti"].write(Output(name, labels, case.geometry, maps, source.files), target)
    if options.overlays:
        picture = target.with_name(f"{nifti.stem(target)}.png")
        pictures.overlay(picture, case, masks, tuple(regions), name)
    volumes = {
        region: case.geometry.volume_of(int(masks[r].sum())).value
        for r, region in enumerate(regions)
    }
    return CasePrediction(name, target, volumes, case.geometry.unit)


def _targets(
    source: Location,
    out: Path,
    cases: Mapping[str, Source],
    maps: Sequence[str] | Mapping[str, object],
) -> dict[str, Path]:
    """The file of each case's mask.

    Raises:
        InputError: ``out`` is one file and there are several cases.
        OutputError: nothing can be written there, or it would be written over a scan.
    """
    single = nifti.is_nifti(out)
    if single and len(cases) != 1:
        raise InputError(
            f"{source} holds {len(cases)} cases, and {out} is one file; name a folder instead"
        )
    stems = file_stems(cases, maps)
    suffix = WRITERS["nifti"].suffix
    targets = {name: out if single else out / f"{stems[name]}{suffix}" for name in cases}
    _check_outputs(out, [*targets.values()], cases)
    return targets


def _check_outputs(out: Path, targets: Sequence[Path], cases: Mapping[str, Source]) -> None:
    """Refuse to write over what is read, into a store or a run, or where nothing can be."""
    if what_is(out) in (Kind.STORE, Kind.RUN):
        raise OutputError(f"{out} is a store or a run; name another folder for the masks")
    read = {path.resolve(): path for item in cases.values() for path in item.files}
    for target in targets:
        if target.resolve() in read:
            raise OutputError(
                f"{target} is a scan that is read here, and its mask would take its place; name "
                f"another folder for the masks"
            )
    check_writable(targets[0].parent)


def _unfit(case: Source, manifest: Manifest, options: PredictOptions) -> str:
    """Why a case cannot be used, as far as that shows before it is read; or nothing."""
    if case.modalities is None:
        return ""
    kept = case.modalities
    if options.modalities is not None:
        kept = tuple(name for name in kept if name in options.modalities)
    if not kept:
        return (
            f"it has {', '.join(case.modalities)}: nothing is left with "
            f"{', '.join(options.modalities or ())}"
        )
    return _too_few(kept, manifest, options)


def _too_few(has: tuple[str, ...], manifest: Manifest, options: PredictOptions) -> str:
    """Why these modalities are not enough, or nothing."""
    lacking = [m for m in manifest.modalities if m not in has]
    names = ", ".join(has)
    if lacking and len(lacking) == len(manifest.modalities):
        return (
            f"it has {names} and the model reads {', '.join(manifest.modalities)}: none fits; "
            f"if the files do not name their channels, name them with --channels"
        )
    if lacking and not (manifest.incomplete or options.allow_missing):
        return (
            f"it lacks {', '.join(lacking)} (it has {names}), and the model never saw a case "
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
