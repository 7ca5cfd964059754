"""Hostile requests to the page of `mriseg annotate`: refused, and nothing is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.io.runs import Run
from mriseg.testing import phantoms
from tests.annotation.sessions import Client, drawn, open_page, painting, prepared, session_of
from tests.fuzz.requests_ import Place, answer_to, hostile

SEED = 20161001


@pytest.fixture(scope="module")
def client(
    trained: Run, cpu: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A session with a case that was corrected and one that was not."""
    root = tmp_path_factory.mktemp("hostile")
    for number in range(2):
        images, _ = phantoms.head(np.random.default_rng(number), (10, 20, 18))
        phantoms.write_brats_case(root / "scans" / f"c{number}", images, None)
    session = prepared(session_of(root / "scans", trained, root / "out"), cpu)
    with open_page(session) as opened:
        row = opened.row("c0")
        mask, revision = opened.mask(row["id"])
        assert opened.save(row["id"], drawn(mask, painting(..., 1)), revision).status == 200
        yield opened


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        # A lock may be held for a moment longer than its request was waited for.
        if path.is_file() and path.suffix != ".lock"
    }


def attack(client: Client, count: int, seed: int) -> dict[int, str]:
    """Send hostile requests; what was wrong with each that was not refused as it should be."""
    id_ = client.row("c0")["id"]
    mask, revision = client.mask(id_)
    token = client.prefix.strip("/")
    place = Place(client.port, token, id_, revision, drawn(mask))
    before, bad = digests(client.desk.session.out.parent), {}
    for number in range(count):
        request = hostile(Random(f"{seed}/{number}"), place)
        try:
            status, body = answer_to(place, request)
        except TimeoutError:
            bad[number] = "no answer"
            continue
        if status is not None and status >= 500:
            bad[number] = f"{status}: {body[:200]!r}"
        if b"root:" in body or b"mriseg-corrections" in body or b"Traceback" in body:
            bad[number] = f"it gave away {body[:200]!r}"
        if digests(client.desk.session.out.parent) != before:
            bad[number] = "a file has changed"
            break
    return bad


def test_hostile_requests_are_refused_and_nothing_is_lost(client: Client) -> None:
    bad = attack(client, 150, SEED)
    assert not bad
    assert client.ask("api/queue").status == 200


def test_an_attack_that_would_work_is_seen(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mriseg.annotation.guard.Guard._refusal", lambda *_: None)
    monkeypatch.setattr("mriseg.annotation.desk.Desk._check", lambda *_, **__: None)
    assert attack(client, 60, SEED)


@pytest.mark.slow
def test_five_thousand_hostile_requests(client: Client) -> None:
    assert not attack(client, 5000, 1)
    assert client.ask("api/queue").status == 200
