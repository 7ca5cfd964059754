"""One way from a case to its mask: a value that can be sent to another process."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from mriseg.backends import Backend
from mriseg.core.calibration import Calibration, Calibrations
from mriseg.core.postprocess import components_of
from mriseg.engine.segmenter import Segmenter, SegmentOptions, network_share
from mriseg.errors import InputError
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.load import load


def test_a_pickled_segmenter_gives_the_same_mask(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    case = brats_store.read_case(trained.manifest.validation[0])
    segmenter = Segmenter(load(trained))
    before = segmenter.segment(case, cpu)
    # After its first use, when it holds tensors on a device.
    sent = pickle.loads(pickle.dumps(segmenter))
    assert sent._placed is None
    after = sent.segment(case, cpu)
    assert np.array_equal(before.masks, after.masks)
    assert np.array_equal(before.probabilities, after.probabilities)


def test_a_segmenter_follows_the_backend_it_is_given(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    case = brats_store.read_case(trained.manifest.validation[0])
    segmenter = Segmenter(load(trained), SegmentOptions(adapt=False, refine=False, flips=False))
    full = segmenter.segment(case, cpu).probabilities
    half = segmenter.segment(case, replace(cpu, dtype=torch.bfloat16)).probabilities
    assert 0 < np.abs(full - half).mean() < 0.02
    assert np.array_equal(full, segmenter.segment(case, cpu).probabilities)


def test_pixels_of_another_size_are_resampled_and_said(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    case = brats_store.read_case(trained.manifest.validation[0])
    model = load(trained)
    own = Segmenter(model).segment(case, cpu)
    assert own.notices == ()
    coarse = Segmenter(replace(model, task=replace(model.task, spacing=(1.6, 1.25))))
    sent = pickle.loads(pickle.dumps(coarse))
    before, after = coarse.segment(case, cpu), sent.segment(case, cpu)
    assert (
        before.notices
        == after.notices
        == (
            "its voxels are 1 x 1 mm in plane and the model was trained at 1.6 x 1.25 mm: "
            "resampled for the network",
        )
    )
    assert before.masks.shape == own.masks.shape
    assert np.array_equal(before.probabilities, after.probabilities)
    assert not np.array_equal(before.probabilities, own.probabilities)


def test_progress_is_told_within_a_case(trained: Run, cpu: Backend, brats_store: Store) -> None:
    case = brats_store.read_case(trained.manifest.validation[0])
    for options, passes in ((SegmentOptions(), 2), (SegmentOptions(flips=False, adapt=False), 1)):
        segmenter = Segmenter(load(trained), replace(options, batch_size=4))
        shares = []
        work = segmenter.segmenting(case, cpu)
        for share in work:
            # Whoever is told computes as ever.
            assert not torch.is_inference_mode_enabled()
            shares.append(share)
        assert shares == sorted(set(shares)) and 0 <= shares[0] < 0.5 < shares[-1] < 1
        batches = -(-np.count_nonzero(case.image.any(axis=(0, 2, 3))) // 4)
        assert len(shares) == 1 + batches * passes
    begin, share = network_share(case, passes=4, adapt=True)
    assert 0 < begin < share < begin + share < 1
    assert network_share(case, passes=1, adapt=False)[0] == 0


def test_options_that_are_not_given_are_the_calibrations() -> None:
    calibrations = Calibrations(
        (Calibration(threshold=0.3, min_component_share=0.1), Calibration())
    )
    options = SegmentOptions().resolved(calibrations)
    assert (options.threshold, options.min_component_share) == ((0.3, 0.5), (0.1, 0.0))
    given = SegmentOptions(threshold=0.7, min_component_share=0.0).resolved(calibrations)
    assert (given.threshold, given.min_component_share) == (0.7, 0.0)


def test_small_components_are_removed(trained: Run, cpu: Backend, brats_store: Store) -> None:
    case = brats_store.read_case(trained.manifest.validation[0])
    plain = SegmentOptions(threshold=0.2, min_component_share=0.0, refine=False, adapt=False)
    model = load(trained)
    all_of_it = Segmenter(model, plain).segment(case, cpu).masks[0]
    _, sizes = components_of(all_of_it)
    limit = max(sizes[1:]) / 1000  # mL, of voxels of 1 mm
    kept = Segmenter(model, replace(plain, min_volume=limit)).segment(case, cpu).masks[0]
    assert 0 < kept.sum() <= all_of_it.sum()
    assert kept.sum() == max(sizes[1:]) or len(sizes) == 2


def test_an_output_that_is_not_a_number_is_an_error(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    case = brats_store.read_case(trained.manifest.validation[0])
    model = load(trained)
    with torch.no_grad():
        model.network.head.weight[0, 0] = torch.inf
    with pytest.raises(InputError, match="not a number; try --precision fp32"):
        Segmenter(model).segment(case, cpu)
    image = case.image.copy()
    image[0, 2, 3, 3] = np.nan
    with pytest.raises(InputError, match="its slices 2 hold voxels that are NaN"):
        Segmenter(load(trained)).segment(replace(case, image=image), cpu)
