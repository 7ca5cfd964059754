"""Who reads cases needs a few of their files, and who writes them the store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mriseg.errors import WorkerError
from mriseg.io import readers
from mriseg.io.location import Location
from mriseg.io.readers import ReaderOptions
from mriseg.recipes.case_work import Workers
from mriseg.recipes.scan_work import name_of, reading_workers, some_of, writing_workers
from mriseg.testing import phantoms


def test_a_few_files_from_all_over_are_looked_at(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path, 7, shape=(4, 24, 20), modalities=("t1",))
    cases = readers.find(tmp_path, "brats", ReaderOptions())[1].cases
    named = {Path(path.path).parent.name for path in some_of(cases)}
    assert named == {cases[0].name, cases[3].name, cases[6].name} and some_of([]) == ()
    assert name_of(cases[0]) == f"case {cases[0].name}"


def test_those_who_write_elsewhere_have_a_room_and_others_none(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src", 2, shape=(4, 24, 20))
    cases = readers.find(tmp_path / "src", "brats", ReaderOptions())[1].cases
    where = Location.of(tmp_path / "out.zarr")
    with writing_workers(Workers(None, 1, None), cases, where) as (_, room):
        assert room is None
    with ThreadPoolExecutor(1) as executor:
        who = Workers(executor, backend=None)
        with writing_workers(who, cases, where) as (workers, room):
            assert room is not None and room.is_open and workers.are_elsewhere
        with reading_workers(who, cases) as workers:
            assert workers.are_elsewhere
        cloud = Location.of("memory://no-store")
        with (
            pytest.raises(WorkerError, match="cannot open memory://"),
            writing_workers(who, cases, cloud),
        ):
            pass
    assert not where.path.exists()
