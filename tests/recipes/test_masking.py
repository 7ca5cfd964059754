"""A case is segmented by a value that can be sent, and its files lie in the workroom."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.core.preparation import UNPREPARED
from mriseg.errors import OutputError
from mriseg.events import completed
from mriseg.io.disk.shared import workroom
from mriseg.io.location import Location
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.case_work import backend_for
from mriseg.recipes.loaded import loaded
from mriseg.recipes.masking import Masking, PredictOptions, ToPredict
from mriseg.recipes.prediction import asked_for
from mriseg.recipes.sources import list_sources
from mriseg.testing import phantoms

QUICK = PredictOptions(flips=False, adapt=False, refine=False)


def test_what_is_sent_makes_the_same_files(
    trained: Run, cpu: Backend, brats_store: Store, tmp_path: Path
) -> None:
    source = Location.of(brats_store.location)
    name, item = next(iter(list_sources(source, "auto", None).cases.items()))
    todo = ToPredict(3, name, item, tmp_path / f"{name}.nii.gz")
    model, backend = loaded(trained, QUICK), backend_for(cpu)
    with workroom(tmp_path) as room:
        how = Masking(
            model, backend, QUICK, asked_for(source, trained, QUICK, UNPREPARED), room, True
        )
        mask = completed(how.of(todo))
        place = Path(room.path, "3")
        first = {path.name: path.read_bytes() for path in place.iterdir()}
        assert set(first) == {f"{name}.nii.gz", f"{name}.png"} and mask.record is not None
        sent, again = pickle.loads(pickle.dumps((how, todo)))
        assert completed(sent.of(again)).record.volumes == mask.record.volumes
        assert {path.name: path.read_bytes() for path in place.iterdir()} == first
        assert mask.view is None or mask.view.title == name
    with pytest.raises(OutputError, match="is gone, with the masks in it"):
        completed(how.of(todo))


def test_a_whole_head_is_said_with_what_to_do(trained: Run, cpu: Backend, tmp_path: Path) -> None:
    images, _ = phantoms.head(np.random.default_rng(3), (10, 40, 36), stripped=False)
    phantoms.write_brats_case(tmp_path / "scans" / "BraTS20_Training_001", images, None)
    source = Location.of(tmp_path / "scans")
    name, item = next(iter(list_sources(source, "auto", None).cases.items()))
    with workroom(tmp_path) as room:
        asked = asked_for(source, trained, QUICK, UNPREPARED)
        how = Masking(loaded(trained, QUICK), backend_for(cpu), QUICK, asked, room, packs=False)
        record = completed(how.of(ToPredict(0, name, item, tmp_path / "a.nii.gz"))).record
    assert record is not None
    assert [text for text in record.notices if "strip it, with --strip deepbet" in text]
    assert [flag for flag in record.flags if flag.startswith("a whole head, training had")]
