"""A model that is sent is loaded again where it is used, and is known to be the same."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.engine.segmenter import SegmentOptions
from mriseg.errors import WorkerError
from mriseg.io.model_sources import locate
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.case_work import Workers
from mriseg.recipes.loaded import lazy_run, loaded, needs_of, reachable

OPTIONS = SegmentOptions(flips=False)


def test_here_it_is_the_run_itself_and_sent_it_is_opened_again(trained: Run) -> None:
    held = loaded(trained, OPTIONS)
    assert held().run is trained and held().segmenter is held().segmenter
    sent = pickle.loads(pickle.dumps(held))
    assert sent().run.digest() == trained.digest() and sent().run is not trained
    assert pickle.loads(pickle.dumps(lazy_run(trained)))().path == trained.path.absolute()


def test_another_model_at_the_same_place_is_refused(trained: Run, tmp_path: Path) -> None:
    run = open_run(shutil.copytree(trained.path, tmp_path / "run"))
    sent = pickle.dumps(lazy_run(run))
    shutil.copy(locate("base") / "best.safetensors", run.path / "best.safetensors")
    with pytest.raises(WorkerError, match="has another model at"):
        pickle.loads(sent)()


def test_a_shipped_model_is_sent_by_its_name() -> None:
    run = open_run("base")
    assert b"/models/base" not in pickle.dumps(lazy_run(run))
    assert needs_of(None, run).paths == ()


def test_workers_need_the_store_and_the_run(trained: Run, brats_store: Store, cpu: Backend) -> None:
    needs = needs_of(brats_store, trained)
    assert {Path(path.path) for path in needs.paths} == {
        trained.path.absolute(),
        Path(brats_store.location).absolute(),
    }
    assert reachable(brats_store, cpu) is brats_store
    away = reachable(brats_store, Workers("dask:tcp://x:1"))
    assert Path(away.location).is_absolute()
