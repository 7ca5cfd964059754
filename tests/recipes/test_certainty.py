"""How sure a run may be is measured as prediction segments, and said of masks made that way."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.core import metrics
from mriseg.core.certainty import CertaintyMap
from mriseg.core.regions import region_masks
from mriseg.engine.segmenter import Segmenter, SegmentOptions
from mriseg.events import completed
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes import certainty as recipe
from mriseg.recipes.certainty import MOST, Judge, measure_certainty, spread
from mriseg.recipes.load import load

MAP = CertaintyMap(0.8, 0.05, 0.9, 0.8, 0.9, 0.8, 9)


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    shutil.copytree(trained.path, tmp_path / "run")
    return Run(tmp_path / "run", trained.manifest)


def test_it_learns_from_masks_as_prediction_makes_them(
    run: Run, cpu: Backend, brats_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[Any] = []
    monkeypatch.setattr(recipe, "fit", lambda known: learnt.append(known) or MAP)
    names = list(brats_store.cases())
    known = completed(
        measure_certainty(run, brats_store, cpu, train=names[:1], validation=names[1:])
    )
    assert set(known.regions) == set(run.manifest.regions) and known.scans is not None
    assert known == run.certainty() and known.scans.cases == 1
    case = brats_store.read_case(names[1])
    segmented = Segmenter(load(run)).segment(case, cpu)
    truth = region_masks(case.labels, run.manifest.regions)
    for r, of_region in enumerate(learnt):
        assert len(of_region) == len(names) - 1
        assert of_region[0].evidence == segmented.evidence[r]
        assert of_region[0].dice == metrics.dice(metrics.count(segmented.masks[r], truth[r]))


def test_the_mirrored_copies_take_no_further_passes(
    run: Run, cpu: Backend, brats_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mriseg.engine import inference

    passes: list[int] = []
    ready = inference.ready

    def counting(*given: Any) -> Any:
        network = ready(*given)
        network.register_forward_hook(lambda *_: passes.append(1))
        return network

    monkeypatch.setattr(inference, "ready", counting)
    case = brats_store.read_case(run.manifest.validation[0])
    segmented = Segmenter(load(run), SegmentOptions(batch_size=1)).segment(case, cpu)
    filled = int(case.image.any(axis=(0, 2, 3)).sum())
    assert len(passes) == filled * 2 ** len(run.manifest.mirrored)
    assert all(
        each.agreement is not None and 0 <= each.agreement <= 1 for each in segmented.evidence
    )
    alone = Segmenter(load(run), SegmentOptions(flips=False)).segment(case, cpu)
    assert all(each.agreement is None for each in alone.evidence)


@pytest.mark.parametrize("option", [{"flips": False}, {"threshold": 0.3}, {"min_volume": 1.0}])
def test_masks_that_were_made_otherwise_have_no_predicted_dice(
    run: Run, cpu: Backend, brats_store: Store, option: dict[str, Any]
) -> None:
    run.keep_certainty(dict.fromkeys(run.manifest.regions, MAP), None)
    case = brats_store.read_case(run.manifest.validation[0])
    segmented = Segmenter(load(run), SegmentOptions(threshold=0.01)).segment(case, cpu)
    assert segmented.masks.any()
    as_measured = Judge(run, SegmentOptions(batch_size=3))
    usual = as_measured.certainty(case, segmented)
    assert not as_measured.remark
    assert any(each.dice is not None and each.covers == 0.8 for each in usual.values())
    otherwise = Judge(run, SegmentOptions(**option))
    assert "no Dice is predicted" in otherwise.remark
    other = otherwise.certainty(case, segmented)
    assert all(each.dice is None and each.covers is None for each in other.values())
    assert all(0 <= each.volume_low <= each.volume_high for each in other.values())


def test_a_run_that_knows_nothing_still_says_what_the_probabilities_expect(
    run: Run, cpu: Backend, brats_store: Store
) -> None:
    (run.path / "certainty.json").unlink(missing_ok=True)
    case = brats_store.read_case(run.manifest.validation[0])
    segmented = Segmenter(load(run)).segment(case, cpu)
    judge = Judge(run, SegmentOptions())
    sure = judge.certainty(case, segmented)
    assert all(each.dice is None and 0 <= each.expected_dice <= 1 for each in sure.values())
    assert judge.flags(case, segmented, ()) == (() if segmented.masks.any() else ("empty mask",))


def test_flags_say_why_to_look(run: Run, cpu: Backend, brats_store: Store) -> None:
    train = list(run.manifest.train)
    completed(measure_certainty(run, brats_store, cpu, train=train, validation=()))
    judge = Judge(run, SegmentOptions())
    case = brats_store.read_case(train[0])
    segmented = Segmenter(load(run)).segment(case, cpu)
    empty = replace(segmented, masks=np.zeros_like(segmented.masks))
    assert judge.flags(case, empty, ("T2",)) == ("empty mask", "without T2")
    affine = np.asarray(case.geometry.affine) @ np.diag([3, 3, 3, 1])
    far = replace(case.geometry, affine=tuple(map(tuple, affine.tolist())))
    first, *_ = judge.flags(
        replace(case, geometry=far), replace(segmented, masks=segmented.masks + 1), ()
    )
    assert first == "voxels of 3.0 mm, training had 1.0 to 1.0"


def test_a_head_of_a_kind_that_training_never_had_is_flagged(
    run: Run, cpu: Backend, brats_store: Store
) -> None:
    assert run.manifest.heads == {"stripped": len(run.manifest.train)}
    case = brats_store.read_case(run.manifest.train[0])
    segmented = Segmenter(load(run)).segment(case, cpu)
    judge = Judge(run, SegmentOptions())
    known = judge.flags(case, segmented, ())
    n = len(run.manifest.train)
    said = f"a whole head, training had {n} stripped"
    assert judge.flags(replace(case, head="whole"), segmented, ()) == (*known, said)
    assert judge.flags(replace(case, head="unclear"), segmented, ()) == known


def test_of_many_cases_some_are_taken_from_all_over_the_list() -> None:
    names = [str(number) for number in range(100)]
    assert spread(names[:3]) == names[:3] and spread([]) == []
    taken = spread(names)
    assert len(taken) == MOST == len(set(taken)) and (taken[0], taken[-1]) == ("0", "99")
