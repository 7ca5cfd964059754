"""The queue of a thousand cases, held without one voxel of them."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mriseg.annotation.listing import EDITED, Queue
from mriseg.core.certainty import RegionCertainty
from mriseg.io.annotations import Annotation, Described, write_annotation
from mriseg.io.corrections import Corrections, update_corrections
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.location import Location
from mriseg.io.predictions import Predictions, SkippedCase, update_predictions
from mriseg.io.runs import Run
from mriseg.recipes.annotation_queue import AnnotateSession
from mriseg.recipes.scans import ScanOptions
from mriseg.recipes.sources import Source
from tests.io.test_corrections import correction_of
from tests.io.test_predictions import mask_of


def fail() -> None:
    raise AssertionError("the queue reads no scan")


def phantom_session(out: Path, count: int) -> AnnotateSession:
    """A session with records of scans that do not exist."""
    names = [f"case{number:04}" for number in range(count)]
    model = mask_of("x").model
    rng = np.random.default_rng(0)

    def filled(now: Predictions) -> Predictions:
        masks = {}
        for name in names:
            sure = RegionCertainty(None, float(rng.random()), 1.0, 2.0, 1)
            record = replace(mask_of(name), certainty={"WT": sure})
            masks[record.mask] = record
        return replace(now, masks=masks)

    (out / "predictions").mkdir(parents=True)
    update_predictions(out / "predictions" / "report.json", filled)
    items = [Described(name, "5", tuple(rng.normal(size=15).tolist())) for name in names]
    write_annotation(out, Annotation("in", {item.case: item for item in items}))
    run = object.__new__(Run)  # nothing of it is needed
    cases = {name: Source(fail, patient=name[:6]) for name in names}  # type: ignore[arg-type]
    stems = {name: name for name in names}
    return AnnotateSession(Location.of(out), out, run, model, cases, stems, "ann", ScanOptions())


def test_a_thousand_cases_are_listed_in_a_moment_and_little_memory(tmp_path: Path) -> None:
    session = phantom_session(tmp_path, 1000)
    Queue(phantom_session(tmp_path / "small", 1)).rows()  # what is made once is made
    tracemalloc.start()
    queue = Queue(session)
    began = time.perf_counter()
    rows = queue.rows()
    first = time.perf_counter() - began
    began = time.perf_counter()
    assert queue.rows() == rows
    second = time.perf_counter() - began
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row["rank"] for row in rows] == list(range(1000))
    assert rows[0]["uncertainty"] == max(row["uncertainty"] for row in rows)
    # A thousand scans would be 70 GB. Tracing slows it several times.
    assert held < 40e6 and peak < 120e6, (held, peak)
    assert first < 30 and second < 10


def test_what_is_done_is_last_and_the_rest_stays_in_order(tmp_path: Path) -> None:
    session = phantom_session(tmp_path, 12)
    queue = Queue(session)
    before = queue.order()
    assert queue.next_open(2) == before[:2]
    done = correction_of(before[0])
    held = f"{before[3]}"[:6]

    def change(now: Corrections) -> Corrections:
        return replace(now.with_case(replace(done, mask=f"{before[0]}.nii.gz")), held_out=(held,))

    update_corrections(tmp_path, change)
    assert queue.order() == [*before[1:], before[0]]
    rows = {row["name"]: row for row in queue.rows()}
    assert rows[before[0]]["status"] == "corrected" and rows[before[1]]["status"] == "open"
    assert all(row["held_out"] for row in rows.values())  # all are of one patient
    assert queue.patients_done() == 1


def test_what_is_not_predicted_waits_and_says_why(tmp_path: Path) -> None:
    session = phantom_session(tmp_path, 4)
    record = tmp_path / "predictions" / "report.json"

    def change(now: Predictions) -> Predictions:
        masks = {name: mask for name, mask in now.masks.items() if mask.case != "case0001"}
        other = replace(masks["case0002.nii.gz"], model=replace(session.model, digest="other"))
        return replace(now, masks={**masks, other.mask: other})

    update_predictions(record, change)

    update_predictions(
        record, lambda now: now.with_skipped(SkippedCase("case0001", "in", "it is cut"))
    )
    rows = Queue(session).rows()
    assert [row["name"] for row in rows[2:]] == ["case0001", "case0002"]
    assert rows[2]["flags"] == ["it is cut"] and rows[2]["uncertainty"] is None
    assert rows[3]["uncertainty"] is None and rows[3]["volumes"] == {}


def test_an_edit_is_flagged(tmp_path: Path) -> None:
    session = phantom_session(tmp_path, 2)
    mask = tmp_path / "case0000.nii.gz"
    mask.write_bytes(b"drawn")
    known = KnownFile.of(mask)
    update_corrections(
        tmp_path, lambda now: now.with_case(replace(correction_of("case0000"), file=known))
    )
    queue = Queue(session)
    assert not [row for row in queue.rows() if EDITED in row["flags"]]
    mask.write_bytes(b"edited")
    assert [row["name"] for row in queue.rows() if EDITED in row["flags"]] == ["case0000"]


@pytest.mark.parametrize("dice", [0.8, None])
def test_the_predicted_dice_is_said_where_it_is_known(tmp_path: Path, dice: float | None) -> None:
    session = phantom_session(tmp_path, 1)
    sure = RegionCertainty(dice, 0.5, 1.0, 2.0, 1)

    def change(now: Predictions) -> Predictions:
        masks = {n: replace(mask, certainty={"WT": sure}) for n, mask in now.masks.items()}
        return replace(now, masks=masks)

    update_predictions(tmp_path / "predictions" / "report.json", change)
    (row,) = Queue(session).rows()
    assert row["dice"] == dice and row["uncertainty"] == pytest.approx(1 - (dice or 0.5))
