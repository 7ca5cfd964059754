"""The desk holds few cases at a time, and passes on why one cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mriseg.annotation.desk import Desk
from mriseg.annotation.refusals import RefusedError
from mriseg.errors import CaseError
from mriseg.io.runs import Run
from mriseg.testing import phantoms
from tests.annotation.sessions import session_of


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    for number in range(6):
        images, _ = phantoms.head(np.random.default_rng(number), (10, 20, 18))
        phantoms.write_brats_case(root / f"c{number}", images, None)
    return root


@pytest.fixture
def desk(source: Path, trained: Run, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(session_of(source, trained, tmp_path / "out"))
    yield desk
    desk.close()


def test_only_a_few_cases_are_held(desk: Desk) -> None:
    for _ in range(2):
        for id_ in desk.queue.ids:
            desk.image(id_, desk.opened(id_).modalities[0])
            assert len(desk._held) <= 3
    last = list(desk.queue.ids)[-1]
    assert desk.opened(last) is desk.opened(last)


def test_a_case_without_a_mask_is_drawn_from_nothing(desk: Desk) -> None:
    id_ = next(iter(desk.queue.ids))
    facts = desk.case(id_)
    assert facts["status"] == "open" and facts["revision"] == "open"
    assert not facts["has_probabilities"] and facts["thresholds"] == [0.5] * 3
    content, revision = desk.mask(id_)
    with pytest.raises(RefusedError, match="no mask to accept"):
        desk.save(id_, "accepted", revision, b"")
    saved = desk.save(id_, "corrected", revision, content)
    assert saved["status"] == "corrected" and saved["volumes"] == {"WT": 0, "TC": 0, "ET": 0}


def test_why_a_case_cannot_be_read_is_said_each_time(desk: Desk, source: Path) -> None:
    name = "c5"
    (path,) = (source / name).glob("*flair*")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    id_ = next(i for i, n in desk.queue.ids.items() if n == name)
    try:
        for _ in range(2):
            with pytest.raises(CaseError, match="flair"):
                desk.case(id_)
    finally:
        path.write_bytes(whole)
    assert desk.case(id_)["name"] == name
