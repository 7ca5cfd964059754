"""How one case is predicted, written and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path

from mriseg import __version__
from mriseg.backends import describe
from mriseg.backends.base import Backend
from mriseg.core.modalities import display_modality, modalities_among
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import label_map
from mriseg.core.train_settings import modality_names
from mriseg.engine.segmenter import Segmentation, Segmenter, SegmentOptions
from mriseg.errors import CaseError, ConfigError, OutputError
from mriseg.events import Advanced, Notice, Partly, R, Recipe, Skipped, Wrote, reporting
from mriseg.io import nifti
from mriseg.io.disk.atomic import staging
from mriseg.io.disk.documents import plain
from mriseg.io.location import Location
from mriseg.io.model_sources import spoken
from mriseg.io.predictions import MaskRecord, ModelName
from mriseg.io.runs import Manifest, Run
from mriseg.io.writers import WRITERS, Output, dicom_seg
from mriseg.io.writers.base import MadeBy
from mriseg.recipes.certainty import Judge
from mriseg.recipes.channels import Channels, restricted, too_few
from mriseg.recipes.load import load
from mriseg.recipes.predicted import Asked, Masks
from mriseg.recipes.setup import versions
from mriseg.recipes.sources import Source
from mriseg.report import pictures
from mriseg.report.case_views import CaseViews
from mriseg.report.drawing import colour
from mriseg.report.viewer import viewed

# What of the options no mask depends on.
_FREE = frozenset(
    [
        "probabilities",
        "overlays",
        "dicom_seg",
        "allow_missing",
        "overwrite",
        "batch_size",
        "modalities",
    ]
)


@dataclass(frozen=True)
class PredictOptions(SegmentOptions):
    """How masks are made of probabilities, and what is written.

    Attributes:
        probabilities: also write a probability map per region.
        overlays: write a picture beside each mask.
        dicom_seg: also write each case as DICOM-SEG, with its probabilities if these are asked for;
            its scan must be DICOM.
        allow_missing: predict cases that lack a modality although training saw none.
        modalities: use only these of a case, in any spelling; None: all that the model reads.
        overwrite: write over masks that something else made, or that were edited since.
    """

    probabilities: bool = False
    overlays: bool = True
    dicom_seg: bool = False
    allow_missing: bool = False
    modalities: tuple[str, ...] | None = None
    overwrite: bool = False

    def naming(self, manifest: Manifest) -> PredictOptions:
        """These options with the modalities as the model names them.

        Raises:
            ConfigError: the model reads no such modality.
        """
        if self.modalities is None:
            return self
        names = modality_names(self.modalities)
        known = modalities_among(names, manifest.modalities, "the model reads")
        return replace(self, modalities=known)


def asked_for(source: Location, run: Run, options: PredictOptions) -> Asked:
    """What identifies a prediction, but for the scan."""
    manifest, resolved = run.manifest, options.resolved(run.calibration())
    settings = {
        item.name: getattr(resolved, item.name)
        for item in fields(PredictOptions)
        if item.name not in _FREE
    }
    wanted = options.modalities
    settings["modalities"] = [m for m in manifest.modalities if wanted is None or m in wanted]
    settings["mriseg"] = __version__
    return Asked(
        source=str(source),
        model=ModelName(spoken(run.path), run.digest()),
        settings=plain(settings),
        maps=tuple(manifest.regions) if options.probabilities else (),
        pictures=options.overlays,
        endings=_endings(options),
        overwrite=options.overwrite,
    )


def refuse_without_dicom(cases: Mapping[str, Source]) -> None:
    """Refuse to write DICOM-SEG for scans that are not DICOM, before anything is done.

    Raises:
        ConfigError: a case is no DICOM, or a library is missing.
    """
    for name, case in cases.items():
        if why := dicom_seg.refusal(case.series):
            raise ConfigError(
                f"--dicom-seg cannot be had for {name}: {why}; leave it out, or give the DICOM "
                f"studies"
            )


def _endings(options: PredictOptions) -> tuple[str, ...]:
    if not options.dicom_seg:
        return ()
    maps = (dicom_seg.MAPS_SUFFIX,) if options.probabilities else ()
    return (dicom_seg.SUFFIX, *maps)


class Prediction:
    """Cases made one by one; the model is loaded with the first.

    Args:
        run: the model.
        backend: where to compute.
        options: how masks are made.
        masks: where they go.
        views: the cases for the viewers of their page, by the names of their masks.
    """

    def __init__(
        self, run: Run, backend: Backend, options: PredictOptions, masks: Masks, views: CaseViews
    ) -> None:
        self.run, self.backend, self.options, self.masks = run, backend, options, masks
        self.views = views
        self.judge = Judge(run, options)
        self._segmenter: Segmenter | None = None

    def skip(self, name: str, reason: str, skipped: dict[str, str]) -> Recipe[None]:
        """Report and record a case that cannot be used."""
        skipped[name] = reason
        self.masks.skip(name, reason)
        yield Skipped(name, reason)

    def make(
        self, name: str, item: Source, target: Path, number: int, is_later: bool
    ) -> Recipe[MaskRecord]:
        """Segment a case and write what belongs to it.

        Args:
            name: the case's.
            item: the case.
            target: of its mask.
            number: which of those to predict it is, counted from 1.
            is_later: whether there are masks already.

        Raises:
            InputError: it cannot be used.
            OutputError: it cannot be written.
        """
        if is_later and not target.parent.is_dir():
            raise OutputError(f"{target.parent} is gone, with the masks in it")
        manifest, options = self.run.manifest, self.options
        scan = item.scan()
        whole, notices = item.load()
        case = restricted(whole, options.modalities)
        if why := too_few(case.modalities, manifest, allow_missing=options.allow_missing):
            raise CaseError(name, why)
        channels = Channels.of(whole.modalities, case.modalities, manifest.modalities)
        notices += channels.notices
        for text in notices:
            yield Notice(f"{name}: {text}")
        for left in self.masks.standing(target, item).foreign:
            yield Notice(f"{name}: {left}, which mriseg did not write, is left beside its new mask")
        seen = manifest.seen_among([item.entry(name, whole)]) if manifest.seen else {}
        if self._segmenter is None:
            self._segmenter = Segmenter(load(self.run), options)
        work = self._segmenter.segmenting(case, self.backend)
        segmentation = yield from in_parts(work, "predict", number, name)
        for text in segmentation.notices:
            yield Notice(f"{name}: {text}")
        facts = describe(self.backend)
        record = MaskRecord(
            case=name,
            mask=target.name,
            files=(),
            source=self.masks.asked.source,
            scan=scan,
            model=self.masks.asked.model,
            settings=dict(self.masks.asked.settings),
            modalities=channels.used,
            missing=channels.missing,
            unused=channels.unused,
            notices=(*notices, *segmentation.notices),
            volumes=_volumes(case, segmentation, manifest),
            unit=case.geometry.unit,
            trained_on=bool(seen),
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            backend=f"{facts['name']} ({facts['device name']}), {facts['precision']}",
            versions=versions(),
            certainty=self.judge.certainty(case, segmentation),
            flags=self.judge.flags(case, segmentation, channels.missing),
        )
        with staging(target.parent) as part:
            self._write(name, case, item, segmentation, part / target.name)
            record = self.masks.place(part, target, item, record)
        if options.overlays:
            self._view(name, whole, segmentation, target)
        yield Wrote(target, "mask")
        return record

    def _write(
        self,
        name: str,
        case: PreparedCase,
        source: Source,
        segmentation: Segmentation,
        target: Path,
    ) -> None:
        """Write a case's mask, probability maps and picture, and its DICOM-SEG."""
        options, regions = self.options, self.run.manifest.regions
        masks = case.to_source(segmentation.masks)
        maps = case.to_source(segmentation.probabilities) if options.probabilities else ()
        asked = self.masks.asked
        shown = display_modality(case.modalities)
        output = Output(
            case=name,
            labels=label_map(masks, regions),
            geometry=case.geometry,
            probabilities=dict(zip(regions, maps, strict=True)) if options.probabilities else {},
            files=source.files,
            reference=source.series.get(shown, ()),
            masks=dict(zip(regions, masks, strict=True)),
            colours={region: colour(index)[1] for index, region in enumerate(regions)},
            made_by=MadeBy(asked.model.path, asked.model.digest, __version__),
        )
        WRITERS["nifti"].write(output, target)
        if options.dicom_seg:
            writer = WRITERS["dicom-seg"]
            writer.write(output, target.with_name(nifti.stem(target) + writer.suffix))
        if options.overlays:
            picture = target.with_name(f"{nifti.stem(target)}.png")
            pictures.overlay(picture, case, segmentation.masks, tuple(regions), name)

    def _view(
        self, name: str, case: PreparedCase, segmentation: Segmentation, target: Path
    ) -> None:
        """Keep a case for its viewer, with all modalities that the scan has."""
        maps = segmentation.probabilities if self.options.probabilities else None
        regions = tuple(self.run.manifest.regions)
        masks = segmentation.masks
        self.views.add(
            target.name, lambda: viewed(name, case, regions, mask=masks, probabilities=maps)
        )


def _volumes(
    case: PreparedCase, segmentation: Segmentation, manifest: Manifest
) -> dict[str, float]:
    """Region -> mL, or voxels where the scan states no voxel size."""
    return {
        region: float(case.geometry.volume_of(int(segmentation.masks[r].sum())).value)
        for r, region in enumerate(manifest.regions)
    }


def in_parts(work: Partly[R], stage: str, number: int, name: str) -> Recipe[R]:
    """``work`` on the case ``number`` of a stage, counted from 1, that reports how far it is."""
    return reporting(work, lambda share: Advanced(stage, number - 1 + share, item=name))
