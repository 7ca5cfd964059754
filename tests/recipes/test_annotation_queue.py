"""What a session prepares: masks with maps, and what each case looks like, once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from mriseg.backends import Backend
from mriseg.events import Advanced, finish
from mriseg.io.annotations import read_annotation
from mriseg.io.runs import Run
from mriseg.recipes.annotation_queue import fill_queue
from tests.annotation.sessions import session_of


def test_every_case_is_predicted_and_described_also_after_a_stop(
    brats_source: Path, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    session = session_of(brats_source, trained, tmp_path / "out")
    recipe = fill_queue(session, cpu)
    for event in recipe:
        if isinstance(event, Advanced) and event.done == 2:
            break
    recipe.close()
    assert len(session.records()) == 2
    finish(fill_queue(session, cpu))
    records, described = session.records(), read_annotation(session.out).described
    assert sorted(records) == sorted(described) == sorted(session.cases)
    assert all(described[name].mask == records[name].files[0].sha256 for name in records)
    assert len({item.numbers for item in described.values()}) == len(described)
    assert {len(item.numbers) for item in described.values()} == {15}
    # A probability map for each region, and no picture.
    names = {path.name for path in session.predictions.iterdir()}
    assert sum("_prob_" in name for name in names) == 3 * len(records)
    assert not [name for name in names if name.endswith(".png")]
    # What is known of no case is looked at again without predicting.
    (session.out / "annotation.json").unlink()
    stages = [e.stage for e in _events(session, cpu) if isinstance(e, Advanced)]
    assert stages == ["look"] * len(records)


def _events(session: object, cpu: Backend) -> list[object]:
    return list(fill_queue(session, cpu))  # type: ignore[arg-type]


def test_a_draft_names_the_person_the_scan_and_the_model(
    brats_source: Path, trained: Run, tmp_path: Path
) -> None:
    session = session_of(brats_source, trained, tmp_path / "out", "bea")
    name, item = next(iter(session.cases.items()))
    draft = session.draft(name, item)
    assert (draft.case, draft.who, draft.model) == (name, "bea", session.model)
    assert item.is_of(draft.scan) and draft.patient
    assert datetime.fromisoformat(draft.when).tzinfo is not None
