"""A case of a store is segmented, measured, and kept to be looked at."""

from __future__ import annotations

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.engine.segmenter import Segmenter
from mriseg.errors import InputError
from mriseg.events import completed
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.load import load
from mriseg.recipes.measurement import Measurement
from mriseg.recipes.prediction import PredictOptions

QUICK = PredictOptions(flips=False, adapt=False, refine=False)


def measurement(trained: Run, cpu: Backend, store: Store, options: PredictOptions) -> Measurement:
    regions = {name: store.spec.regions[name] for name in trained.manifest.regions}
    return Measurement(store, Segmenter(load(trained), options), cpu, options, regions)


def test_masks_truth_and_scores_are_of_one_case(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    name = next(iter(brats_store.cases()))
    measured = completed(measurement(trained, cpu, brats_store, QUICK).of(name))
    assert measured.masks.shape == measured.truth.shape
    assert {score.case for score in measured.scores} == {name}
    both = np.logical_and(measured.masks[0], measured.truth[0]).sum()
    sizes = measured.masks[0].sum() + measured.truth[0].sum()
    assert measured.scores[0].dice == pytest.approx(2 * both / sizes)
    shown = measured.viewed(name, tuple(trained.manifest.regions))
    assert shown.truth is not None and shown.truth.sum() == measured.truth.sum()
    assert measured.slices() is not None


def test_a_case_without_a_modality_of_the_model_is_refused(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    name = next(iter(brats_store.cases()))
    [other, *_] = set(brats_store.read_case(name).modalities) - set(trained.manifest.modalities)
    options = PredictOptions(modalities=(other,))
    with pytest.raises(InputError, match="none that the model reads"):
        completed(measurement(trained, cpu, brats_store, options).of(name))
