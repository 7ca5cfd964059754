"""Cases are predicted: what is asked for, and how masks get to their places and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path

from mriseg import __version__
from mriseg.core.bids_output import BidsForm
from mriseg.core.preparation import Preparation
from mriseg.errors import CaseError, ConfigError
from mriseg.events import Advanced, Began, Notice, Recipe, Skipped, Wrote
from mriseg.io.disk.documents import plain
from mriseg.io.disk.schemas import as_json
from mriseg.io.disk.shared import Workroom, workroom
from mriseg.io.location import Location
from mriseg.io.model_sources import spoken
from mriseg.io.predictions import MaskRecord, ModelName
from mriseg.io.runs import Run
from mriseg.io.writers import dicom_seg
from mriseg.recipes.case_work import Where, Workers, case_workers, partly
from mriseg.recipes.certainty import Judge
from mriseg.recipes.loaded import loaded
from mriseg.recipes.masking import MadeMask, Masking, PredictOptions, ToPredict
from mriseg.recipes.pipeline import Outcome
from mriseg.recipes.predicted import Asked, Masks
from mriseg.recipes.sources import Source
from mriseg.recipes.worker_check import Needs
from mriseg.report.case_views import CaseViews

__all__ = ["PredictOptions", "Prediction", "ToPredict", "asked_for", "refuse_without_dicom"]

# What of the options no mask depends on.
_FREE = frozenset(
    [
        "probabilities",
        "overlays",
        "dicom_seg",
        "bids",
        "allow_missing",
        "overwrite",
        "batch_size",
        "modalities",
        "reference",
        "align",
        "strip",
        "every_series",
    ]
)


def asked_for(
    source: Location,
    run: Run,
    options: PredictOptions,
    preparation: Preparation,
    bids: BidsForm | None = None,
) -> Asked:
    """What identifies a prediction, but for the scan.

    Args:
        source: of the scans.
        run: the model.
        options: how masks are made.
        preparation: what is done to the scans before.
        bids: how files are named in a BIDS derivative; None: masks lie side by side.
    """
    manifest, resolved = run.manifest, options.resolved(run.calibration())
    settings = {
        item.name: getattr(resolved, item.name)
        for item in fields(PredictOptions)
        if item.name not in _FREE
    }
    wanted = options.modalities
    settings["modalities"] = [m for m in manifest.modalities if wanted is None or m in wanted]
    if not preparation.is_none:
        settings["preparation"] = as_json(preparation)
    settings["mriseg"] = __version__
    return Asked(
        source=str(source),
        model=ModelName(spoken(run.path), run.digest()),
        settings=plain(settings),
        maps=tuple(manifest.regions) if options.probabilities else (),
        pictures=options.overlays,
        endings=_endings(options),
        overwrite=options.overwrite,
        bids=bids,
        every_series=options.every_series,
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
    """A folder of masks that are made: what their making does not depend on.

    Args:
        run: the model.
        options: how masks are made.
        masks: where they go.
        views: the cases for the viewers of their page, by the names of their masks.

    Attributes:
        machine: where they were made, for the page; empty until one was.
    """

    def __init__(self, run: Run, options: PredictOptions, masks: Masks, views: CaseViews) -> None:
        self.run, self.options, self.masks, self.views = run, options, masks, views
        self.judge = Judge(run, options)
        self.machine = ""

    def skip(self, name: str, reason: str, skipped: dict[str, str]) -> Recipe[None]:
        """Report and record a case that cannot be used."""
        skipped[name] = reason
        self.masks.skip(name, reason)
        yield Skipped(name, reason)

    def make(
        self, where: Where, todo: Sequence[ToPredict], needs: Needs, skipped: dict[str, str]
    ) -> Recipe[dict[str, MaskRecord]]:
        """Segment cases, and move what was made of each to its place.

        Args:
            where: a backend, or workers.
            todo: the cases.
            needs: what workers have to read.
            skipped: case -> reason; those that cannot be used come in.

        Returns:
            Case -> record.

        Raises:
            OutputError: a mask cannot be written.
            WorkerError: workers are not there, went away, or lack something.
        """
        records: dict[str, MaskRecord] = {}
        count = len(todo)
        with ExitStack() as stack:
            if todo:
                room = stack.enter_context(workroom(self.masks.record.parent))
                needs = replace(needs, room=room)
            workers = stack.enter_context(case_workers(where, count, needs))
            yield from map(Notice, workers.notices)
            yield Began("predict", count, "case", at_once=max(1, min(workers.at_once, count)))
            if todo or not isinstance(where, Workers):
                self.machine = workers.machine
            if not todo:
                return records
            how = Masking(
                model=loaded(self.run, self.options),
                backend=workers.backend,
                options=self.options,
                asked=self.masks.asked,
                room=room,
                packs=self.options.overlays and not self.views.absent,
            )
            done = 0
            for step in workers.each(
                how.stages, todo, partly("predict"), lambda i: f"case {i.name}"
            ):
                if not isinstance(step, Outcome):
                    yield step
                    continue
                item, done = step.item, done + 1
                if step.result.record is None:
                    yield from self.skip(item.name, step.result.problem, skipped)
                else:
                    yield from self._placed(room, item, step.result, records, skipped)
                yield Advanced("predict", done, item=item.name)
        return records

    def _placed(
        self,
        room: Workroom,
        item: ToPredict,
        made_mask: MadeMask,
        records: dict[str, MaskRecord],
        skipped: dict[str, str],
    ) -> Recipe[None]:
        """Move a mask and what belongs to it to their places."""
        record, name, target = made_mask.record, item.name, item.target
        assert record is not None, "this case could be used"
        yield from (Notice(f"{name}: {text}") for text in record.notices)
        for left in self.masks.standing(target, item.source).foreign:
            yield Notice(f"{name}: {left}, which mriseg did not write, is left beside its new mask")
        try:
            part = Path(room.path, str(item.number))
            records[name] = self.masks.place(part, target, item.source, record)
        except CaseError as error:
            yield from self.skip(name, error.reason, skipped)
            return
        finally:
            room.clear(str(item.number))
        if made_mask.view is not None:
            self.views.keep(record.mask, made_mask.view)
        yield Wrote(target, "mask")
