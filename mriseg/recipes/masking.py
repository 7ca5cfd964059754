"""How one case is segmented, and its files are written where others move them from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from mriseg import __version__
from mriseg.backends import describe
from mriseg.backends.base import Backend
from mriseg.core.heads import advice
from mriseg.core.modalities import display_modality, modalities_among
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import label_map
from mriseg.core.train_settings import modality_names
from mriseg.engine.segmenter import Output as NetworkOutput
from mriseg.engine.segmenter import Segmentation, SegmentOptions
from mriseg.errors import CaseError, InputError, OutputError
from mriseg.events import Partly
from mriseg.io import nifti
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.disk.shared import Workroom
from mriseg.io.predictions import MaskRecord
from mriseg.io.runs import Manifest
from mriseg.io.writers import WRITERS, Output
from mriseg.io.writers.base import MadeBy
from mriseg.recipes.channels import Channels, restricted, too_few
from mriseg.recipes.lazy import Lazy
from mriseg.recipes.loaded import Loaded
from mriseg.recipes.pipeline import Stages
from mriseg.recipes.predicted import Asked
from mriseg.recipes.setup import versions
from mriseg.recipes.sources import Source
from mriseg.report import pictures
from mriseg.report.drawing import colour
from mriseg.report.viewer import PackedCase, packed, viewed


@dataclass(frozen=True)
class PredictOptions(SegmentOptions):
    """How masks are made of probabilities, and what is written.

    Attributes:
        probabilities: also write a probability map per region.
        overlays: write a picture beside each mask.
        dicom_seg: also write each case as DICOM-SEG, with its probabilities if these are asked for;
            its scan must be DICOM.
        bids: write the folder as a BIDS derivative (`mriseg.core.bids_output`).
        allow_missing: predict cases that lack a modality although training saw none.
        modalities: use only these of a case, in any spelling; None: all that the model reads.
        overwrite: write over masks that something else made, or that were edited since.
        reference: the modality whose grid a session's scans come onto; None: as in training.
        align: register them to it first; None: as in training.
        strip: the name of a stripper, or "none"; None: as in training.
        every_series: also write each mask on the grid of each of its scans.
    """

    probabilities: bool = False
    overlays: bool = True
    dicom_seg: bool = False
    bids: bool = False
    allow_missing: bool = False
    modalities: tuple[str, ...] | None = None
    overwrite: bool = False
    reference: str | None = None
    align: bool | None = None
    strip: str | None = None
    every_series: bool = False

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


@dataclass(frozen=True)
class ToPredict:
    """A case to predict.

    Attributes:
        number: which of those to predict it is, counted from 0.
        name: the case's.
        source: where it is read from.
        target: of its mask.
        key: the mask's name in the record; empty: that of its file.
    """

    number: int
    name: str
    source: Source
    target: Path
    key: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class MadeMask:
    """What was made of a case; its files are in its place in the workroom.

    Attributes:
        record: of the mask, but for its files; None: the case cannot be used.
        view: the case for a viewer; None: not wanted.
        problem: why the case cannot be used.
    """

    record: MaskRecord | None = None
    view: PackedCase | None = None
    problem: str = ""


@dataclass(frozen=True)
class _Read:
    """A case that was read.

    Attributes:
        scan: its files.
        whole: it, with all modalities that it has.
        case: what of it is used.
        channels: which modalities that are.
        notices: what was accepted although it is unusual.
        seen: whether the model was trained on it.
    """

    scan: tuple[KnownFile, ...]
    whole: PreparedCase
    case: PreparedCase
    channels: Channels
    notices: tuple[str, ...]
    seen: bool


@dataclass(frozen=True)
class _Passed:
    """A case with what the network gave for it."""

    read: _Read
    output: NetworkOutput


@dataclass(frozen=True)
class Masking:
    """How masks are made and written; a value that can be sent to a worker.

    Attributes:
        model: what segments.
        backend: where to compute.
        options: how masks are made.
        asked: what identifies the prediction.
        room: where files are written before they are moved to their places.
        packs: whether cases for viewers are wanted.
    """

    model: Lazy[Loaded]
    backend: Lazy[Backend]
    options: PredictOptions
    asked: Asked
    room: Workroom
    packs: bool

    def of(self, item: ToPredict) -> Partly[MadeMask]:
        """Segment a case and write what belongs to it; yields the share of it that is done.

        Raises:
            OutputError: it cannot be written.
        """
        return self.stages(item)

    @property
    def stages(self) -> Stages[ToPredict, float, _Read | MadeMask, _Passed | MadeMask, MadeMask]:
        """`of` in stages, of which the first and the last need no device."""
        return Stages(self._read, self._pass, self._finish)

    def _read(self, item: ToPredict) -> Partly[_Read | MadeMask]:
        """Read a case and prepare it."""
        self._check_room(item)
        manifest, options, name = self.model().run.manifest, self.options, item.name
        try:
            scan = item.source.scan()
            whole, notices = yield from item.source.loading()
            case = restricted(whole, options.modalities)
            if why := too_few(case.modalities, manifest, allow_missing=options.allow_missing):
                raise CaseError(name, why)
            channels = Channels.of(whole.modalities, case.modalities, manifest.modalities)
            seen = bool(manifest.seen) and manifest.seen_among([item.source.entry(name, whole)])
            return _Read(scan, whole, case, channels, (*notices, *channels.notices), bool(seen))
        except InputError as error:
            return _problem(error)

    def _pass(self, item: ToPredict, read: _Read | MadeMask) -> Partly[_Passed | MadeMask]:
        """Pass a case through the network."""
        if isinstance(read, MadeMask):
            return read
        segmenter, backend = self.model().segmenter, self.backend()
        try:
            return _Passed(read, (yield from segmenter.passing(read.case, backend)))
        except InputError as error:
            return _problem(error)

    def _finish(self, item: ToPredict, passed: _Passed | MadeMask) -> MadeMask:
        """Make masks of what the network gave, and write them."""
        if isinstance(passed, MadeMask):
            return passed
        # It may have gone while the network computed.
        self._check_room(item)
        model, read, name = self.model(), passed.read, item.name
        try:
            segmentation = model.segmenter.masks(read.case, passed.output)
            record = self._record(item, model, read, segmentation)
            with self.room.alone(name):
                part = self.room.place(str(item.number))
                target = part / item.target.name
                self._write(name, read.case, item.source, segmentation, target, model.run.manifest)
            view = self._view(name, read.whole, segmentation, model.run.manifest)
            return MadeMask(record, view)
        except InputError as error:
            return _problem(error)

    def _check_room(self, item: ToPredict) -> None:
        if not self.room.is_open:
            raise OutputError(f"{item.target.parent} is gone, with the masks in it")

    def _record(
        self, item: ToPredict, model: Loaded, read: _Read, segmentation: Segmentation
    ) -> MaskRecord:
        """What is recorded of a mask, but for its files."""
        manifest, case, whole, channels = model.run.manifest, read.case, read.whole, read.channels
        facts = describe(self.backend())
        return MaskRecord(
            case=item.name,
            mask=item.key or item.target.name,
            files=(),
            source=self.asked.source,
            scan=read.scan,
            model=self.asked.model,
            settings=dict(self.asked.settings),
            modalities=channels.used,
            missing=channels.missing,
            unused=channels.unused,
            notices=(*read.notices, *segmentation.notices, *_about_heads(case, manifest)),
            volumes=_volumes(case, segmentation, manifest),
            unit=case.geometry.unit,
            trained_on=read.seen,
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            backend=f"{facts['name']} ({facts['device name']}), {facts['precision']}",
            versions=versions(),
            certainty=model.judge.certainty(case, segmentation),
            flags=model.judge.flags(case, segmentation, channels.missing),
            session=whole.session if whole.session and whole.session.matters else None,
        )

    def _write(
        self,
        name: str,
        case: PreparedCase,
        source: Source,
        segmentation: Segmentation,
        target: Path,
        manifest: Manifest,
    ) -> None:
        """Write a case's mask, probability maps and picture, and its DICOM-SEG."""
        options, regions = self.options, manifest.regions
        masks = case.to_source(segmentation.masks)
        maps = case.to_source(segmentation.probabilities) if options.probabilities else ()
        asked = self.asked
        shown = display_modality(case.modalities)
        output = Output(
            case=name,
            labels=label_map(masks, regions),
            geometry=case.geometry,
            probabilities=dict(zip(regions, maps, strict=True)) if options.probabilities else {},
            files=source.files,
            reference=source.series.get(_on(case, shown), ()),
            masks=dict(zip(regions, masks, strict=True)),
            colours={region: colour(index)[1] for index, region in enumerate(regions)},
            session=case.session if options.every_series else None,
            made_by=MadeBy(asked.model.path, asked.model.digest, __version__),
            series=source.series,
            bids=asked.bids,
        )
        WRITERS["nifti" if asked.bids is None else "bids"].write(output, target)
        if options.dicom_seg:
            writer = WRITERS["dicom-seg"]
            writer.write(output, target.with_name(nifti.stem(target) + writer.suffix))
        if options.overlays:
            picture = target.with_name(f"{nifti.stem(target)}.png")
            pictures.overlay(picture, case, segmentation.masks, tuple(regions), name)

    def _view(
        self, name: str, case: PreparedCase, segmentation: Segmentation, manifest: Manifest
    ) -> PackedCase | None:
        """A case for its viewer, with all modalities that the scan has."""
        if not self.packs:
            return None
        maps = segmentation.probabilities if self.options.probabilities else None
        masks, regions = segmentation.masks, tuple(manifest.regions)
        return packed(viewed(name, case, regions, mask=masks, probabilities=maps))


def _problem(error: InputError) -> MadeMask:
    return MadeMask(problem=error.reason if isinstance(error, CaseError) else str(error))


def _about_heads(case: PreparedCase, manifest: Manifest) -> tuple[str, ...]:
    return tuple(filter(None, [advice(case.head, manifest.heads)]))


def _on(case: PreparedCase, shown: str) -> str:
    """The modality whose scan lies where the masks do, which is ``shown`` if that one does."""
    session = case.session
    return shown if session is None or session.keeps(shown) else session.reference


def _volumes(
    case: PreparedCase, segmentation: Segmentation, manifest: Manifest
) -> dict[str, float]:
    """Region -> mL, or voxels where the scan states no voxel size."""
    return {
        region: float(case.geometry.volume_of(int(segmentation.masks[r].sum())).value)
        for r, region in enumerate(manifest.regions)
    }
