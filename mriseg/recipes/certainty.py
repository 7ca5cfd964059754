"""How sure a run may be of its masks: measured on its validation patients, and kept with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from mriseg.backends.base import Backend
from mriseg.core import metrics
from mriseg.core.certainty import CertaintyMap, Known, RegionCertainty, certainty_of, fit
from mriseg.core.evidence import Evidence
from mriseg.core.familiarity import ScanFacts, TrainingScans, facts_of, training_scans, unlike
from mriseg.core.heads import unseen
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import region_masks
from mriseg.engine.segmenter import Segmentation, Segmenter, SegmentOptions
from mriseg.events import Partly, within
from mriseg.io.runs import Certainty, Run
from mriseg.io.store import CaseAttributes, Store
from mriseg.recipes.load import load_together

# Of all that validate: more take longer and would change little.
MOST = 24


def measure_certainty(
    run: Run,
    store: Store,
    backend: Backend,
    *,
    train: Sequence[str],
    validation: Sequence[str],
    given: Mapping[str, CertaintyMap] | None = None,
) -> Partly[Certainty | None]:
    """Calibrate how sure a run may be, and keep it with the run.

    Its validation cases, spread over at most `MOST` of them, are segmented as prediction would.
    It yields the share of them that is done. Where several processes train together, each takes
    some of the cases, and the first alone keeps what comes of them.

    Args:
        run: with its best weights, and their calibration.
        store: where to read.
        backend: where to compute.
        train: names of the training cases, which say what scans the run knows.
        validation: names of the validation cases; none: nothing is calibrated.
        given: region -> what patients left out have measured, in place of validation's.

    Returns:
        What was kept; None in a process that keeps nothing.

    Raises:
        StoreError: a case cannot be read.
        RunError, OutputError: the run's weights cannot be read, or nothing can be written there.
    """
    attributes = store.cases()
    scans = training_scans(_facts(attributes[name]) for name in train) if train else None
    if given is None:
        regions = yield from _calibrated(run, store, backend, spread(validation))
    else:
        regions = dict(given)
    if not backend.ranks.first:
        return None
    run.keep_certainty(regions, scans)
    kept = run.certainty()
    assert kept is not None, "it was written for these weights"
    return kept


def spread(names: Sequence[str]) -> list[str]:
    """At most `MOST` of the names, from all over the list."""
    places = np.linspace(0, len(names) - 1, min(MOST, len(names))).round().astype(int)
    return [names[place] for place in places]


def _calibrated(
    run: Run, store: Store, backend: Backend, names: Sequence[str]
) -> Partly[dict[str, CertaintyMap]]:
    regions = run.manifest.regions
    segmenter = Segmenter(load_together(run, backend.ranks)) if names else None
    own, done = backend.ranks.own(names), list[tuple[Known, ...]]()
    for number, name in enumerate(own):
        assert segmenter is not None, "there are names"
        case = store.read_case(name)
        assert case.labels is not None, "plan_training() keeps labelled cases alone"
        work = segmenter.segmenting(case, backend)
        segmented = yield from within(work, number / len(own), 1 / len(own))
        truth = region_masks(case.labels, regions)
        scores = (
            metrics.dice(metrics.count(*pair)) for pair in zip(segmented.masks, truth, strict=True)
        )
        done.append(tuple(map(Known, segmented.evidence, scores)))
    known = backend.ranks.woven(done, Known, Evidence)
    maps = {region: fit([case[r] for case in known]) for r, region in enumerate(regions)}
    return {region: each for region, each in maps.items() if each is not None}


_OTHERWISE = (
    "no Dice is predicted and no volume has a range: they are calibrated for masks that are made "
    "with the default settings"
)


class Judge:
    """Says of masks how sure they are, and of scans whether they are like the training's.

    Args:
        run: the model.
        options: how masks are made.

    Attributes:
        remark: why it predicts no Dice although the run could; empty where there is nothing to say.

    Raises:
        RunError: what the run knows of its certainty is damaged.
    """

    def __init__(self, run: Run, options: SegmentOptions) -> None:
        self._regions = tuple(run.manifest.regions)
        self._heads = run.manifest.heads
        known = run.certainty()
        self._scans: TrainingScans | None = known.scans if known else None
        # Masks that were made otherwise are not on the scale of those that it was measured on.
        usual = SegmentOptions().resolved(run.calibration())
        as_measured = _settings_of(options.resolved(run.calibration())) == _settings_of(usual)
        self._maps = known.regions if known and as_measured else {}
        self.remark = _OTHERWISE if known and known.regions and not as_measured else ""

    def certainty(self, case: PreparedCase, segmented: Segmentation) -> dict[str, RegionCertainty]:
        """Region -> how sure its mask is."""
        voxel = float(case.geometry.volume_of(1).value)
        pairs = zip(self._regions, segmented.evidence, strict=True)
        return {name: certainty_of(each, self._maps.get(name), voxel) for name, each in pairs}

    def flags(
        self, case: PreparedCase, segmented: Segmentation, missing: Sequence[str]
    ) -> tuple[str, ...]:
        """Why to look at a mask, in plain words.

        Args:
            case: the scan, with the modalities that were used.
            segmented: its mask.
            missing: channels that the model reads and the scan lacks.
        """
        flags = [] if segmented.masks.any() else ["empty mask"]
        if missing:
            flags.append(f"without {', '.join(missing)}")
        for region, evidence in zip(self._regions, segmented.evidence, strict=True):
            if (calibration := self._maps.get(region)) is not None:
                flags += calibration.unusual(region, evidence)
        if self._scans is not None:
            extent = case.box.shape
            facts = facts_of(case.geometry, extent, case.modalities, case.normalisation)
            flags += unlike(facts, self._scans)
        return tuple(filter(None, (*flags, unseen(case.head, self._heads))))


def _settings_of(options: SegmentOptions) -> dict[str, object]:
    """The options on which a mask depends, one value for each region or for all."""
    values = {item.name: getattr(options, item.name) for item in fields(SegmentOptions)}
    del values["batch_size"]
    return values


def _facts(case: CaseAttributes) -> ScanFacts:
    return facts_of(case.geometry, case.box.shape, case.modalities, case.normalisation)
