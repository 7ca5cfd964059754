from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mriseg.backends import Backend
from mriseg.core import metrics
from mriseg.core.calibration import Calibration, Calibrations
from mriseg.core.config import TrainConfig
from mriseg.core.regions import region_masks
from mriseg.engine.segmenter import Segmenter, SegmentOptions
from mriseg.events import completed, finish
from mriseg.io.runs import Run
from mriseg.io.store import Store, open_store
from mriseg.recipes.load import load, load_model
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.setup import plan_training
from mriseg.recipes.validate import seconds_per_slice, validate


def test_the_score_is_the_mean_of_regions_and_patients(
    trained: Run, brats_store: Store, cpu: Backend, tiny: TrainConfig
) -> None:
    setup = plan_training(brats_store, tiny)
    cases = list(brats_store.cases())
    model = load_model(trained, cpu)
    levels = (0.5,) * len(setup.task.regions)
    work = validate(model, cpu, brats_store, cases, setup.task, levels=levels, pictures=2)
    result = completed(work)
    assert list(result.dice) == cases and len(result.rows) == 2
    means = [result.mean(region) for region in setup.task.regions]
    assert result.score == pytest.approx(sum(means) / len(means))
    for region in setup.task.regions:
        assert len(result.tallies[region]) == len(result.dice_by_min_share[region]) == len(cases)
        # No component is removed at a share of 0.
        shares = [scores[0] for scores in result.dice_by_min_share[region]]
        assert shares == pytest.approx([dice[region] for dice in result.dice.values()])
    # Slices are numbered as in the scan, not as in the crop.
    for row in result.rows:
        name = row.caption.split(",")[0]
        case = brats_store.read_case(name)
        number = int(row.caption.split("slice ")[1].split(",")[0])
        stored = case.channels(setup.task.modalities)[:, number - case.box.start[0]]
        assert case.box.start[0] > 0 and (stored == row.image).all()


def test_an_output_that_is_not_a_number_is_reported_by_case(
    trained: Run, brats_store: Store, cpu: Backend, tiny: TrainConfig
) -> None:
    setup = plan_training(brats_store, tiny)
    [name, *_] = brats_store.cases()
    model = load_model(trained, cpu)
    with torch.no_grad():
        model.head.weight[:] = torch.nan
    result = completed(
        validate(model, replace(cpu), brats_store, [name], setup.task, levels=(0.5,) * 3)
    )
    assert result.non_finite == (name,) and result.corrupt_slices == ()


def test_validation_resamples_as_prediction_does(
    trained: Run, fine_source: Path, cpu: Backend, tmp_path: Path
) -> None:
    finish(preprocess(fine_source, tmp_path / "fine.zarr", regions="WT,TC,ET", workers=1))
    store = open_store(tmp_path / "fine.zarr")
    cases, model = list(store.cases())[:1], load(trained)
    levels = model.calibrations.thresholds
    plain = SegmentOptions(flips=False, min_component_share=0.0)
    network = load_model(trained, cpu)
    # The calibration lies in the network's head, which validation does not know of.
    bare = Segmenter(replace(model, calibrations=Calibrations((Calibration(),) * 3)), plain)
    work = validate(network, cpu, store, cases, model.task, levels=levels, pictures=0)
    result = completed(work)
    for name in cases:
        case = store.read_case(name)
        output = bare.segment(case, cpu).probabilities
        truth = region_masks(case.labels, model.task.regions)
        for r, region in enumerate(model.task.regions):
            score = metrics.dice(metrics.count(output[r] > levels[r], truth[r]))
            assert result.dice[name][region] == pytest.approx(score)


def test_a_few_slices_tell_how_long_a_validation_takes(
    trained: Run, brats_store: Store, cpu: Backend, tiny: TrainConfig
) -> None:
    setup = plan_training(brats_store, tiny)
    case = brats_store.read_case(next(iter(brats_store.cases())))
    model = load_model(trained, cpu)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seen: list[float] = []

    def now() -> float:
        seen.append(3.0 * len(seen))
        return seen[-1]

    levels = (0.5,) * len(setup.task.regions)
    count = min(16, case.image.shape[1])
    # Three seconds are long enough to try it once.
    each = seconds_per_slice(model, cpu, case, setup.task, levels, now=now)
    assert each == pytest.approx(3 / count) and len(seen) == 2
    assert seconds_per_slice(model, cpu, case, setup.task, levels) > 0
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
