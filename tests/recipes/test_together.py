"""Two processes train what one would, and refuse what they cannot do together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mriseg.backends import Backend, select
from mriseg.backends.ranks import Ranks
from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError, InputError, MrisegError
from mriseg.io.runs import open_run
from mriseg.io.store import Store
from mriseg.recipes.setup import plan_training
from mriseg.recipes.together import check_together
from tests.ranks import MRISEG, each
from tests.trainings import changed, numbers, run_training, weights_equal


def test_two_processes_train_what_one_would_to_the_bit(
    brats_store: Store, short: TrainConfig, tmp_path: Path
) -> None:
    config = changed(short, epochs=1, slices_per_epoch=12, batch_size=3, norm_batches=2)
    exact = select("cpu", precision="fp32", deterministic=True)
    one = run_training(brats_store, config, exact, tmp_path / "one")
    file = tmp_path / "settings.toml"
    file.write_text(
        "width = 8\nepochs = 1\nbatch_size = 3\nlearning_rate = 1e-2\ntumour_fraction = 0.6\n"
        'norm_batches = 2\nslices_per_epoch = 12\nmodalities = ["FLAIR", "T1"]\nregions = ["WT"]\n'
    )
    words = [
        *(*MRISEG, "train", str(brats_store.location), "--config", str(file), "--out", "two"),
        *("--backend", "cpu", "--precision", "fp32", "--deterministic"),
    ]
    first, second = each(tmp_path, words, words)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    # One of them speaks, and one keeps.
    assert second.stdout == second.stderr == ""
    assert "2 processes train together, by Gloo" in first.stderr and "best Dice" in first.stdout
    run, whole = open_run(tmp_path / "two"), open_run(one.run)
    assert numbers(run) == numbers(whole)
    assert weights_equal(run, whole) and run.certainty() == whole.certainty()
    best, of_one = run.load("best"), whole.load("best")
    assert all((best.weights[name] == of_one.weights[name]).all() for name in of_one.weights)
    assert best.state == of_one.state
    assert run.manifest.backend["processes"] == 2 and "processes" not in whole.manifest.backend
    position = run.load("last").state["position"]
    assert position["processes"] == [[0, 2]]
    assert "Trained by 2 processes" in (run.path / "report.html").read_text()


class Others(Ranks):
    """Ranks of which the others have what ``theirs`` makes of this one's."""

    def __init__(self, world: int, theirs: Any = lambda mine: mine) -> None:
        self.world, self._theirs = world, theirs

    def gather(self, value: Any, *kinds: type) -> list[Any]:
        return [value, *([self._theirs(value)] * (self.world - 1))]


@pytest.mark.parametrize(
    ("theirs", "kind", "message"),
    [
        (lambda mine: ("{}", *mine[1:]), ConfigError, "rank 1 of 3 has other settings than rank 0"),
        (lambda mine: (mine[0], "", mine[2]), InputError, "rank 1 of 3 finds other cases"),
        (lambda mine: (*mine[:2], 7), InputError, "rank 1 of 3 finds 7 steps of the run done, and"),
    ],
)
def test_processes_that_mean_different_things_are_refused(
    brats_store: Store, tiny: TrainConfig, theirs: Any, kind: type[MrisegError], message: str
) -> None:
    setup = plan_training(brats_store, tiny)
    check_together(Others(3), setup)
    with pytest.raises(kind, match=message):
        check_together(Others(3, theirs), setup)


def test_a_batch_of_fewer_slices_than_processes_is_refused(
    brats_store: Store, tiny: TrainConfig
) -> None:
    setup = plan_training(brats_store, changed(tiny, batch_size=2))
    check_together(Others(2), setup)
    with pytest.raises(ConfigError, match="a batch of 2 slices cannot be divided among 3 processe"):
        check_together(Others(3), setup)


def test_one_process_is_asked_nothing(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ranks, "gather", None)
    check_together(cpu.ranks, plan_training(brats_store, changed(tiny, batch_size=1)))
