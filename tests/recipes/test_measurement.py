"""A case of a store is segmented, measured, and kept to be looked at."""

from __future__ import annotations

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.engine.segmenter import Segmenter
from mriseg.events import completed
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.case_work import backend_for
from mriseg.recipes.load import load
from mriseg.recipes.loaded import loaded
from mriseg.recipes.measurement import Measurement
from mriseg.recipes.prediction import PredictOptions

QUICK = PredictOptions(flips=False, adapt=False, refine=False)


def measurement(trained: Run, cpu: Backend, store: Store, options: PredictOptions) -> Measurement:
    regions = {name: store.spec.regions[name] for name in trained.manifest.regions}
    model, backend = loaded(trained, options), backend_for(cpu)
    return Measurement(store, model, backend, options, regions, looks=True, packs=True)


def test_masks_truth_and_scores_are_of_one_case(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    name = next(iter(brats_store.cases()))
    measured = completed(measurement(trained, cpu, brats_store, QUICK).of(name))
    assert {score.case for score in measured.scores} == {name}
    case = brats_store.read_case(name)
    masks = Segmenter(load(trained), QUICK).segment(case, cpu).masks
    assert case.labels is not None
    truth = np.isin(case.labels, brats_store.spec.regions[measured.scores[0].region])
    both = np.logical_and(masks[0], truth).sum()
    assert measured.scores[0].dice == pytest.approx(2 * both / (masks[0].sum() + truth.sum()))
    assert measured.view is not None and measured.view.layers == {"mask", "truth"}
    assert measured.slices is not None and not measured.problem


def test_a_case_without_a_modality_of_the_model_is_refused(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    name = next(iter(brats_store.cases()))
    [other, *_] = set(brats_store.read_case(name).modalities) - set(trained.manifest.modalities)
    options = PredictOptions(modalities=(other,))
    measured = completed(measurement(trained, cpu, brats_store, options).of(name))
    assert "none that the model reads" in measured.problem and not measured.scores
