"""How good masks are, patient by patient, in 3-D."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.backends.base import Backend
from mriseg.core import volume
from mriseg.core.metrics import CaseScores, Summary, score_case, summarise
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions, region_masks
from mriseg.core.showcase import showcase
from mriseg.errors import ConfigError, InputError
from mriseg.events import Advanced, Began, Measured, Notice, Recipe, Skipped, Wrote
from mriseg.io import nifti
from mriseg.io.disk import documents
from mriseg.io.disk.space import check_writable
from mriseg.io.readers import folders
from mriseg.io.runs import Manifest, Run
from mriseg.io.store import Store
from mriseg.recipes.predict import PredictOptions, Segmented, resolve_options, restricted, segmenter
from mriseg.report import charts, gallery
from mriseg.report.gallery import Views
from mriseg.report.pictures import grid

# The bootstrap's own seed: an evaluation repeated gives the same interval.
_SEED = 0

# Slices of this many cases are kept for the picture; of more, those shown are segmented once more.
_KEPT = 32

# What of the options a score depends on.
_MADE = ("threshold", "min_component_share", "min_volume", "flips", "adapt", "refine", "modalities")


@dataclass(frozen=True)
class EvaluateReport:
    """Scores of each case and region, and their summary.

    Attributes:
        scores: a row a case and region.
        summary: a row a region and metric.
        seen: cases among them that the model was trained on; their scores say nothing of others.
        skipped: (case, reason).
        made: how the masks were made: the model, and `PredictOptions` as they were settled; None
            where masks were given.
    """

    scores: tuple[CaseScores, ...]
    summary: tuple[Summary, ...]
    seen: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    made: Mapping[str, Any] | None = None

    def mean(self, region: str, metric: str = "dice") -> float:
        """The mean of a metric over the cases."""
        for row in self.summary:
            if (row.region, row.metric) == (region, metric):
                return row.mean
        raise KeyError((region, metric))

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return {
            "cases": [{**asdict(s), "seen": s.case in self.seen} for s in self.scores],
            "summary": [asdict(row) for row in self.summary],
            "skipped": [list(pair) for pair in self.skipped],
            "made": None if self.made is None else dict(self.made),
        }


def evaluate(
    store: Store,
    run: Run,
    backend: Backend,
    *,
    options: PredictOptions | None = None,
    include_seen: bool = False,
    cases: Sequence[str] | None = None,
    out: Path | None = None,
    pictures: bool = True,
) -> Recipe[EvaluateReport]:
    """Predict the labelled cases of ``store`` and measure the masks.

    Cases that the run, or one that it was transferred from, was trained on (by name, patient or
    the same voxels) are left out unless ``include_seen``. A run's validation cases are in: they
    chose the best epoch and the threshold, so they are slightly flattered.

    Args:
        store: of cases with segmentations.
        run: the model.
        backend: where to compute.
        options: how masks are made; None: the defaults.
        include_seen: measure training cases as well, marked as such.
        cases: only these.
        out: a folder for ``cases.csv``, ``summary.csv`` and ``evaluation.json``; None: no files.
        pictures: also ``dice.png``, a point a case, and ``cases.png``, a slice each of the best,
            the median and the worst cases.

    Raises:
        InputError: there is nothing to measure, or the store lacks the model's regions.
    """
    options = resolve_options(options, run)
    regions = _regions_of(store, run)
    index = store.index()
    labelled = [case for case in index.cases if case.labelled]
    if cases is not None:
        if not cases:
            raise InputError("no case is named; leave --cases out for all of them")
        lacking = set(cases) - {case.name for case in labelled}
        if lacking:
            raise InputError(
                f"{store.location} holds no labelled case {', '.join(sorted(lacking))}"
            )
        labelled = [case for case in labelled if case.name in cases]
    seen = list(known := run.manifest.seen_among(labelled))
    chosen = [case.name for case in labelled if include_seen or case.name not in seen]
    if seen:
        verb = "are measured too, marked" if include_seen else "are left out"
        yield Notice(f"{len(seen)} cases that the model was trained on {verb}")
    for text in filter(None, known.values()):
        yield Notice(text)
    if not chosen:
        raise InputError(
            f"{store.location} holds no labelled case that the model was not trained on; "
            f"--include-seen measures those"
        )
    held = [name for name in chosen if run.manifest.validated_on(name)]
    if held:
        yield Notice(
            f"among the {len(chosen)} measured are the run's {len(held)} validation cases, which "
            f"chose its best epoch and so are slightly flattered"
        )
    manifest, asked = run.manifest, options.modalities
    if asked is None and not (manifest.incomplete or options.allow_missing):
        has = {case.name: case.modalities for case in index.only(chosen).cases}
        lacking = set(manifest.modalities).difference(*has.values())
        if lacking:
            kept = [name for name in manifest.modalities if name not in lacking]
            raise InputError(
                f"no case to measure in {store.location} has {', '.join(sorted(lacking))}, and "
                f"the model never saw a case without; to measure it all the same, name the "
                f"others: --modalities {','.join(kept) or '(none is left)'}"
            )
    if out is not None:
        check_writable(out)
    segment = segmenter(run, backend, options)
    look = partial(_segmented, store, segment, run.manifest, options, regions)
    channels = run.manifest.modalities
    scores: list[CaseScores] = []
    skipped: list[tuple[str, str]] = []
    views: dict[str, Views] = {}
    yield Began("evaluate", len(chosen), "case")
    for number, name in enumerate(chosen, start=1):
        try:
            case, masks, truth = look(name)
        except InputError as error:
            skipped.append((name, str(error)))
            yield Skipped(name, str(error))
            continue
        rows = score_case(
            name, masks, truth, tuple(regions), case.geometry.spacing, case.geometry.unit
        )
        scores += rows
        if out is not None and pictures and len(views) < _KEPT:
            views[name] = gallery.views(case, channels, masks, truth)
        yield from (_told(row) for row in rows)
        yield Advanced("evaluate", number, item=name)
    if not scores:
        told = "; ".join(f"{name}: {reason}" for name, reason in skipped)
        raise InputError(f"no case of {store.location} could be measured: {told}")
    made = {"model": str(run.path), **{key: getattr(options, key) for key in _MADE}}
    report = yield from _reported(scores, seen, skipped, out, pictures, made)
    if out is not None and pictures:
        shown = showcase(scores)
        for name in {item.case for item in shown} - set(views):
            case, masks, truth = look(name)
            views[name] = gallery.views(case, channels, masks, truth)
        title = f"{run.name}: {shown[0].of} cases by their mean Dice"
        path = out / "cases.png"
        grid(path, gallery.rows(shown, views, seen), channels, tuple(regions), title)
        yield Wrote(path, "picture")
    return report


def _segmented(
    store: Store,
    segment: Callable[[PreparedCase], Segmented],
    manifest: Manifest,
    options: PredictOptions,
    regions: Regions,
    name: str,
) -> tuple[PreparedCase, NDArray[np.uint8], NDArray[np.uint8]]:
    """A case, the masks [r, z, y, x] that the network gives it, and its truth."""
    case = restricted(store.read_case(name), options)
    if not set(case.modalities) & set(manifest.modalities):
        raise InputError(f"it has {', '.join(case.modalities)}: none that the model reads")
    masks, _ = segment(case)
    assert case.labels is not None, "only labelled cases were chosen"
    return case, masks, region_masks(case.labels, regions)


def evaluate_masks(
    masks: Path,
    truths: Path,
    *,
    regions: Regions | None = None,
    out: Path | None = None,
    pictures: bool = True,
) -> Recipe[EvaluateReport]:
    """Measure mask files against truth files of the same names.

    Args:
        masks: a folder of NIfTI masks, searched with its subfolders.
        truths: a folder of NIfTI truths. A pair shares its name up to ``.nii`` or ``.nii.gz``; of
            a truth, an ending such as ``_seg`` may come on top.
        regions: name -> label values, on both sides, but that for a single region a mask of 0
            and 1, such as `predict` writes, is taken as it is; None: all that is not 0, as
            "foreground".
        out: as in `evaluate`.
        pictures: also ``dice.png``; there are no scans to show the cases on.

    Raises:
        InputError: no pair is found, or one does not lie on one grid.
    """
    pairs, alone = _pairs(masks, truths)
    for name in alone:
        yield Skipped(name, "the mask has no truth of its name")
    scores: list[CaseScores] = []
    skipped = [(name, "no truth of its name") for name in alone]
    yield Began("evaluate", len(pairs), "case")
    for number, (name, (mask_path, truth_path)) in enumerate(pairs.items(), start=1):
        try:
            mask, geometry = nifti.read(mask_path)
            truth, other = nifti.read(truth_path)
            if mask.shape != truth.shape:
                raise InputError(
                    f"the mask is {mask.shape} and the truth {truth.shape}; "
                    f"bring both onto one grid"
                )
            labels = [
                volume.canonical(nifti.integer_labels(array), geometry) for array in (mask, truth)
            ]
        except InputError as error:
            skipped.append((name, str(error)))
            yield Skipped(name, str(error))
            continue
        if not np.allclose(geometry.affine, other.affine, atol=1e-3):
            yield Notice(f"{name}: mask and truth have different affines; voxels are compared")
        if regions is None:
            # One region of all labels, whatever they are.
            labels = [(array > 0).astype(np.uint8) for array in labels]
        wanted = regions or {"foreground": (1,)}
        if len(wanted) == 1 and labels[0].max() <= 1:
            # A mask of one region is 1 there (`label_map`), whatever its labels are in the truth.
            labels[0] = labels[0] * next(iter(wanted.values()))[0]
        found, expected = (region_masks(array, wanted) for array in labels)
        rows = score_case(name, found, expected, tuple(wanted), geometry.spacing, geometry.unit)
        scores += rows
        yield from (_told(row) for row in rows)
        yield Advanced("evaluate", number, item=name)
    if not scores:
        raise InputError(f"no mask under {masks} could be measured against {truths}")
    return (yield from _reported(scores, [], skipped, out, pictures))


def _regions_of(store: Store, run: Run) -> Regions:
    """The model's regions as the store defines them, or, failing that, by the model's labels."""
    known = store.spec.regions
    lacking = [name for name in run.manifest.regions if name not in known]
    if lacking:
        raise ConfigError(
            f"the model marks {', '.join(run.manifest.regions)} and {store.location} has "
            f"{', '.join(known)}; preprocess it with --regions {','.join(run.manifest.regions)}"
        )
    return {name: known[name] for name in run.manifest.regions}


def _told(row: CaseScores) -> Measured:
    numbers = {k: v for k, v in asdict(row).items() if isinstance(v, float)}
    return Measured("case", 0, numbers, note=f"{row.case} {row.region}")


def _reported(
    scores: list[CaseScores],
    seen: list[str],
    skipped: list[tuple[str, str]],
    out: Path | None,
    pictures: bool,
    made: Mapping[str, Any] | None = None,
) -> Recipe[EvaluateReport]:
    summary = summarise(scores, np.random.default_rng(_SEED))
    report = EvaluateReport(tuple(scores), tuple(summary), tuple(seen), tuple(skipped), made)
    if out is not None:
        data = report.to_json()
        documents.write_csv(out / "cases.csv", data["cases"])
        documents.write_csv(out / "summary.csv", data["summary"])
        documents.write_json(out / "evaluation.json", data)
        yield Wrote(out, "cases.csv, summary.csv and evaluation.json")
        if pictures:
            path = out / "dice.png"
            cases = len({score.case for score in scores})
            charts.dice_of_cases(path, _dice(scores), f"Dice of {cases} cases")
            yield Wrote(path, "picture")
    return report


def _dice(scores: Sequence[CaseScores]) -> dict[str, list[float]]:
    """Region -> the Dice of each case."""
    found: dict[str, list[float]] = {}
    for score in scores:
        found.setdefault(score.region, []).append(score.dice)
    return found


_TRUTH_ENDINGS = ("_seg", "-seg", "_mask", "_label", "_gt", "_pred")


def _pairs(masks: Path, truths: Path) -> tuple[Mapping[str, tuple[Path, Path]], list[str]]:
    found, wanted = _files(masks, "masks"), _files(truths, "truths")
    pairs = {name: (path, wanted[name]) for name, path in found.items() if name in wanted}
    if not pairs:
        raise InputError(
            f"no mask under {masks} ({', '.join(list(found)[:3])}, ...) has the name of a truth "
            f"under {truths} ({', '.join(list(wanted)[:3])}, ...)"
        )
    return pairs, sorted(set(found) - set(pairs))


def _files(folder: Path, kind: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of {kind}")
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*.nii*") if p.is_file() and nifti.is_nifti(p)):
        if "_prob_" in path.name:
            continue
        name = folders.text(nifti.stem(path))
        for ending in _TRUTH_ENDINGS:
            name = name.removesuffix(ending)
        if name in found:
            raise InputError(f"{folder} holds two {kind} named {name}: {found[name]} and {path}")
        found[name] = path
    if not found:
        raise InputError(f"{folder} holds no NIfTI file")
    return found
