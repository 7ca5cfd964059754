"""A session from beginning to end: its folder, its page, its queue, and going on with it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mriseg.annotation.annotate import annotate, folder_of, open_session, report_of
from mriseg.backends import Backend
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Advanced, Notice
from mriseg.io.corrections import update_corrections
from mriseg.io.location import Location
from mriseg.io.runs import Run
from mriseg.recipes.scans import ScanOptions
from tests.annotation.sessions import session_of


def test_the_folder_is_beside_the_scans_and_never_among_them(tmp_path: Path) -> None:
    scans = Location.of(tmp_path / "scans")
    assert folder_of(scans, None) == tmp_path.resolve() / "scans-annotation"
    assert folder_of(scans, tmp_path / "other") == tmp_path / "other"
    for inside in ("scans", "scans/masks", "other/../scans/a/b"):
        with pytest.raises(OutputError, match="among the scans"):
            folder_of(scans, tmp_path / inside)
    with pytest.raises(ConfigError, match="--out"):
        folder_of(Location.of("s3://bucket/brats.zarr"), None)


def test_corrections_of_something_else_are_not_gone_on_with(
    brats_source: Path, trained: Run, brats_store: object, tmp_path: Path
) -> None:
    session = session_of(brats_source, trained, tmp_path / "out")
    name = next(iter(session.cases))
    draft = session.draft(name, session.cases[name])
    skipped = replace(draft, status="skipped", mask="")
    bad: dict[str, Callable[[], object]] = {
        "corrections of left": lambda: replace(skipped, regions=("left",)),
        "from other files": lambda: replace(
            skipped, scan=(replace(skipped.scan[0], sha256="0", size=1), *skipped.scan[1:])
        ),
    }
    for said, make in bad.items():
        update_corrections(session.out, lambda now, make=make: now.with_case(make()))  # type: ignore[misc]
        with pytest.raises(InputError, match=said):
            session_of(brats_source, trained, tmp_path / "out")
    update_corrections(session.out, lambda now: now.with_case(skipped))
    assert report_of(session_of(brats_source, trained, tmp_path / "out")).skipped == 1
    with pytest.raises(OutputError, match="store or a run"):
        open_session(Location.of(brats_source), trained, "ann", trained.path, ScanOptions())


def test_the_queue_fills_while_the_page_is_open(
    brats_source: Path, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    session = session_of(brats_source, trained, tmp_path / "out")
    assert report_of(session).open == 4
    ready: list[str] = []
    recipe = annotate(session, cpu, ["two files are in no case"], on_ready=ready.append)
    said = [next(recipe) for _ in range(3)]
    assert isinstance(said[0], Notice) and said[0].text.startswith("two files")
    assert isinstance(said[1], Notice) and ready == []

    def queue() -> dict[str, object]:
        parts = urlsplit(ready[0])
        connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=30)
        connection.request("GET", f"{parts.path}api/queue")
        answer: dict[str, object] = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    seen = []
    for event in recipe:
        if isinstance(event, Advanced) and event.stage == "predict":
            now = queue()
            seen.append([row["uncertainty"] is not None for row in now["cases"]])  # type: ignore[attr-defined]
            if event.done == 4:
                break
    assert ready[0] in said[1].text
    assert len(seen) >= 4 and all(len(row) == 4 for row in seen) and all(seen[-1])
    # A folder of a session that ended goes on: nothing is predicted again.
    recipe.close()
    with pytest.raises(OSError):
        queue()
    masks = {path: path.stat().st_mtime_ns for path in session.predictions.glob("*.nii.gz")}
    again = annotate(
        session_of(brats_source, trained, tmp_path / "out"), cpu, on_ready=ready.append
    )
    for event in again:
        if isinstance(event, Notice) and "predicted already" in event.text:
            break
    again.close()
    assert {path: path.stat().st_mtime_ns for path in masks} == masks and len(masks) == 16
