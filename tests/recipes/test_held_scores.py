"""A mask that is measured is the one that prediction makes with the same calibration."""

from __future__ import annotations

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.core.calibration import Calibration
from mriseg.core.regions import region_masks
from mriseg.engine.segmenter import Segmenter, SegmentOptions
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.channels import restricted
from mriseg.recipes.held_out import kept
from mriseg.recipes.held_scores import evidence_in, masks_of
from mriseg.recipes.load import load


@pytest.mark.parametrize("modalities", [None, ("FLAIR",)])
def test_it_is_the_mask_of_a_prediction(
    brats_store: Store, trained: Run, cpu: Backend, modalities: tuple[str, ...] | None
) -> None:
    model = load(trained)
    (name, *_) = trained.manifest.validation
    case = restricted(brats_store.read_case(name), modalities)
    assert case.labels is not None
    truth = region_masks(case.labels, trained.manifest.regions)
    segmented = Segmenter(model).segment(case, cpu)
    mask, _ = kept(segmented, truth, trained.calibration())
    assert mask.logits.dtype == np.int16 and mask.tallies.sum() == truth.size
    for level, share in ((0.5, 0.0), (0.25, 0.1), (0.7, 0.3)):
        options = SegmentOptions(threshold=level, min_component_share=share)
        expected = Segmenter(model, options).segment(case, cpu).masks
        own = [
            Calibration(each.scale, each.shift, level, share)
            for each in trained.calibration().regions
        ]
        got = masks_of(mask.logits, own)
        theirs = Segmenter(model, options).segment(case, cpu).evidence
        for ours, other in zip(evidence_in(mask, got, own), theirs, strict=True):
            assert ours.expected == pytest.approx(other.expected, abs=0.03)
            assert (ours.agreement is None) == (other.agreement is None)
            assert ours.components == pytest.approx(other.components, abs=3)
        # A step of a logit is a thirty-second.
        assert np.mean(got != expected) < 0.01
        assert 0 < got.sum() < got.size


def test_where_nothing_was_computed_nothing_is_segmented() -> None:
    logits = np.full((1, 2, 2, 2), -16 * 32, np.int16)
    assert not masks_of(logits, [Calibration(4.0, 12.0, 0.2)]).any()
