"""The page's addresses on a real port: what is saved is on the scan's grid, and nothing is lost."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.io.corrections import read_corrections, state_of
from mriseg.io.disk.checksums import sha256
from mriseg.io.runs import Run
from mriseg.recipes.annotation_queue import AnnotateSession
from mriseg.testing import phantoms
from tests.annotation.sessions import Client, drawn, open_page, painting, prepared, session_of

Voxels = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms whose files run in different ways."""
    root = tmp_path_factory.mktemp("scans")
    for number, orientation in enumerate(("RAS", "LPS", "SAL")):
        images, _ = phantoms.head(np.random.default_rng(number))
        folder = root / f"case_{number}"
        phantoms.write_brats_case(
            folder,
            images,
            None,
            orientation=orientation,
            origin=(10, -5, number),
            spacing=(1.5, 1, 1),
        )
    return root


@pytest.fixture(scope="module")
def base(
    source: Path, trained: Run, cpu: Backend, tmp_path_factory: pytest.TempPathFactory
) -> AnnotateSession:
    """A session whose queue is filled; not to be written."""
    return prepared(session_of(source, trained, tmp_path_factory.mktemp("base")), cpu)


@pytest.fixture
def client(base: AnnotateSession, source: Path, trained: Run, tmp_path: Path) -> Iterator[Client]:
    out = tmp_path / "out"
    shutil.copytree(base.out, out)
    with open_page(session_of(source, trained, out)) as opened:
        yield opened


def places(data: Voxels, affine: Voxels) -> set[tuple[float, ...]]:
    """Where in the world the voxels are that are not 0."""
    world = np.argwhere(data) @ affine[:3, :3].T + affine[:3, 3]
    return {tuple(np.round(place, 2).tolist()) for place in world}


def test_the_queue_says_what_is_known_of_each_case(client: Client) -> None:
    answer = client.ask("api/queue")
    about = answer.json
    assert about["who"] == "ann" and about["preparing"] is None and about["modalities"]
    assert [region["name"] for region in about["regions"]] == ["WT", "TC", "ET"]
    assert all(region["colour"].startswith("#") for region in about["regions"])
    assert sorted(row["name"] for row in about["cases"]) == ["case_0", "case_1", "case_2"]
    assert [row["rank"] for row in about["cases"]] == [0, 1, 2]
    assert {row["status"] for row in about["cases"]} == {"open"}
    assert all(0 <= row["uncertainty"] <= 1 and row["volumes"]["WT"] > 0 for row in about["cases"])
    assert about["improve"]["state"] == "none"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_page_and_its_files_are_served_and_no_others(client: Client) -> None:
    page = client.ask("")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    script = client.ask("static/annotate.js")
    assert script.status == 200 and script.headers["content-type"].startswith("text/javascript")
    for name in ("", "gone.js", "..%2fapp.py", "%2e%2e/app.py", "../app.py", ".", "%00"):
        assert client.ask(f"static/{name}").status == 404, name


@pytest.mark.parametrize("number", range(3))
def test_a_correction_is_on_the_scans_grid_and_only_where_it_was_drawn(
    client: Client, source: Path, number: int
) -> None:
    row = client.row(f"case_{number}")
    facts = client.ask(f"api/cases/{row['id']}").json
    assert facts["has_probabilities"] and facts["mm"] and len(facts["thresholds"]) == 3
    mask, revision = client.mask(row["id"])
    assert facts["revision"] == revision
    for modality in facts["modalities"]:
        image = client.ask(f"api/cases/{row['id']}/image/{modality['name']}.nii.gz").image
        assert image.shape == mask.shape and np.allclose(image.affine, mask.affine)
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
        assert modality["window"][0] < modality["window"][1]
    probability = client.ask(f"api/cases/{row['id']}/probability/0.nii.gz").image
    assert probability.shape == mask.shape and 0 <= probability.get_fdata().max() <= 1.0001

    block = (slice(2, 5), slice(3, 5), slice(1, 4))

    def draw(data: Voxels) -> None:
        """ET in a corner of the grid, and the rest of the mask wiped out."""
        data[:] = 0
        data[block] = 3

    answer = client.save(row["id"], drawn(mask, draw, packed=number > 0), revision)
    assert answer.status == 200, answer.body
    scan = nib.load(next((source / row["name"]).glob("*flair*")))
    saved = nib.load(client.desk.session.out / f"{row['name']}.nii.gz")
    assert saved.shape == scan.shape and np.array_equal(saved.affine, scan.affine)
    assert saved.header["sform_code"] == scan.header["sform_code"]
    values, counts = np.unique(saved.dataobj, return_counts=True)
    assert values.tolist() == [0, 4] and counts[1] == 3 * 2 * 3
    # The same places in the world.
    empty = np.zeros(mask.shape)
    empty[block] = 1
    assert places(saved.get_fdata(), saved.affine) == places(empty, mask.affine)
    # What is read back is what was drawn, and it is in all regions around it.
    again, new = client.mask(row["id"])
    assert new == answer.json["revision"] != revision
    assert drawn(again) == drawn(mask, draw)
    volumes = answer.json["volumes"]
    assert volumes["WT"] == volumes["ET"] == pytest.approx(18 * 1.5 / 1000)
    record = read_corrections(client.desk.session.out).cases[row["name"]]
    assert (record.status, record.who) == ("corrected", "ann")
    assert record.model == client.desk.session.model and record.regions == ("WT", "TC", "ET")
    assert client.row(row["name"])["status"] == "corrected"


def test_voxels_outside_of_what_is_shown_are_kept(client: Client) -> None:
    row = client.row("case_0")
    client.save(row["id"], b"", client.mask(row["id"])[1], "accepted")
    path = client.desk.session.out / "case_0.nii.gz"
    image = nib.load(path)
    data = np.asarray(image.dataobj).copy()
    assert not data[0, 0, 0]
    data[0, 0, 0] = 4
    nib.save(nib.Nifti1Image(data, image.affine, image.header), path)
    mask, revision = client.mask(row["id"])
    answer = client.save(row["id"], drawn(mask, painting(..., 0)), revision)
    assert answer.status == 200
    after = np.asarray(nib.load(path).dataobj)
    assert after[0, 0, 0] == 4 and np.count_nonzero(after) == 1


def test_accepted_as_it_is_skipped_and_taken_back(client: Client) -> None:
    row, out = client.row("case_1"), client.desk.session.out
    where = f"api/cases/{row['id']}"
    revision = client.mask(row["id"])[1]
    accepted = client.save(row["id"], b"", revision, "accepted").json
    assert accepted["status"] == "accepted" and accepted["who"] == "ann"
    predicted = nib.load(out / "predictions" / "case_1.nii.gz")
    assert np.array_equal(nib.load(out / "case_1.nii.gz").dataobj, predicted.dataobj)
    refused = client.ask(f"{where}/skip", "POST", If_Match=accepted["revision"])
    assert refused.status == 409 and (out / "case_1.nii.gz").exists()
    reopened = client.ask(f"{where}/reopen", "POST", If_Match=accepted["revision"])
    assert reopened.json["status"] == "open" and reopened.json["revision"] == revision
    assert not (out / "case_1.nii.gz").exists()
    skipped = client.ask(f"{where}/skip", "POST", If_Match=f'"{revision}"').json
    assert skipped["status"] == "skipped"
    assert client.queue()[-1]["name"] == "case_1"
    stale = client.ask(f"{where}/skip", "POST", If_Match=f'"{revision}"')
    assert stale.status == 409 and stale.json["revision"] == skipped["revision"]
    back = client.ask(f"{where}/reopen", "POST", If_Match=f'"{skipped["revision"]}"')
    assert back.json["status"] == "open" and back.json["who"] == ""
    # Accepted, but with a change: that is a correction.
    mask, revision = client.mask(row["id"])
    changed = client.save(row["id"], drawn(mask, painting((0, 0, 0), 1)), revision, "accepted")
    assert changed.json["status"] == "corrected"
    assert client.save(row["id"], b"", changed.json["revision"], "accepted").status == 409
    taken = client.ask(f"{where}/reopen", "POST", If_Match=changed.json["revision"])
    assert taken.status == 409 and "taken back" in taken.json["error"]


def test_of_two_tabs_the_second_is_told_and_nothing_is_lost(client: Client) -> None:
    row = client.row("case_2")
    mask, revision = client.mask(row["id"])
    bodies = [drawn(mask, painting(..., 0))]
    bodies += [drawn(mask, painting((slice(n, n + 3), 4, 4), 1)) for n in range(5)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda body: client.save(row["id"], body, revision), bodies))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200, *[409] * 5]
    won = next(n for n, answer in enumerate(answers) if answer.status == 200)
    refused = next(answer.json for answer in answers if answer.status == 409)
    assert refused["who"] == "ann" and "saved it at" in refused["error"]
    assert refused["revision"] == answers[won].json["revision"]
    current, revision = client.mask(row["id"])
    assert drawn(current) == bodies[won]
    # Who loads again can go on.
    assert client.save(row["id"], bodies[0], revision).status == 200


def test_an_edit_in_another_program_counts_and_is_shown(client: Client) -> None:
    row = client.row("case_0")
    mask, revision = client.mask(row["id"])
    saved = client.save(row["id"], drawn(mask), revision)
    path = client.desk.session.out / "case_0.nii.gz"
    image = nib.load(path)
    data = np.zeros(image.shape, np.uint8)
    data[20, 20, 12] = 4
    nib.save(nib.Nifti1Image(data, image.affine, image.header), path)
    edited = sha256(path)
    row = client.row("case_0")
    assert any("another program" in flag for flag in row["flags"])
    late = client.save(row["id"], drawn(mask), saved.json["revision"])
    assert late.status == 409 and sha256(path) == edited
    shown, revision = client.mask(row["id"])
    assert np.count_nonzero(shown.dataobj) == 1
    assert client.save(row["id"], drawn(shown), revision).status == 200


def test_what_is_no_mask_of_the_case_is_refused(client: Client) -> None:
    row, out = client.row("case_0"), client.desk.session.out
    mask, revision = client.mask(row["id"])
    data = np.asarray(mask.dataobj)
    moved = mask.affine.copy()
    moved[0, 3] += 1
    bad = {
        "not NIfTI": (b"not a mask at all" * 40, "NIfTI"),
        "cut": (drawn(mask)[:-20], "truncated|damaged"),
        "another grid": (drawn(nib.Nifti1Image(data[1:], mask.affine)), "is drawn on"),
        "a larger grid": (drawn(nib.Nifti1Image(np.pad(data, 1), mask.affine)), "at most|larger"),
        "moved": (drawn(nib.Nifti1Image(data, moved)), "elsewhere in space"),
        "unknown": (drawn(mask, painting((0, 0, 0), 4)), "there are 3 regions"),
        "empty": (b"", "no mask to accept"),
    }
    for what, (body, said) in bad.items():
        answer = client.save(row["id"], body, revision)
        assert answer.status == 422, (what, answer.body)
        assert re.search(said, answer.json["error"]), (what, answer.json)
    assert client.save(row["id"], bytes(10**7), revision).status == 413
    assert client.save(row["id"], drawn(mask), revision, "perhaps").status == 400
    without = client.ask(f"api/cases/{row['id']}/mask?status=corrected", "PUT", drawn(mask))
    assert without.status == 400 and "If-Match" in without.json["error"]
    assert not read_corrections(out).cases and not (out / "case_0.nii.gz").exists()


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("api/cases/0000000000000000", "GET", 404),
        ("api/cases/0000000000000000/mask.nii.gz", "GET", 404),
        ("api/cases/../queue", "GET", 404),
        ("api/cases/{id}/image/T9.nii.gz", "GET", 404),
        ("api/cases/{id}/image/..%2f..%2fmask.nii.gz", "GET", 404),
        ("api/cases/{id}/probability/9.nii.gz", "GET", 404),
        ("api/cases/{id}/probability/-1.nii.gz", "GET", 404),
        ("api/cases/{id}/mask", "POST", 405),
        ("api/queue", "DELETE", 405),
        ("api/improve", "POST", 409),
        ("api/improve", "DELETE", 200),
        ("api/improve/page", "GET", 404),
        ("etc/passwd", "GET", 404),
    ],
)
def test_other_addresses_are_refused_in_one_sentence(
    client: Client, path: str, method: str, status: int
) -> None:
    row = client.queue()[0]
    answer = client.ask(path.format(id=row["id"]), method)
    assert answer.status == status
    assert status == 200 or len(answer.json["error"]) > 10


def test_it_goes_on_where_it_was(client: Client, source: Path, trained: Run) -> None:
    row, out = client.row("case_0"), client.desk.session.out
    mask, revision = client.mask(row["id"])
    client.save(row["id"], drawn(mask, painting(..., 1)), revision)
    before = client.queue()
    # A killed process left something on its way, and nothing of a cache.
    (out / ".saving-case_1.nii.gz").write_bytes(b"half")
    (out / "annotation.json").write_text("{")
    with open_page(session_of(source, trained, out, "bea")) as again:
        rows = again.queue()
        assert {row["name"]: row["status"] for row in rows} == {
            row["name"]: row["status"] for row in before
        }
        shown, _ = again.mask(row["id"])
        assert (np.asarray(shown.dataobj) == 1).all()
        assert again.save(row["id"], drawn(shown), again.mask(row["id"])[1]).json["who"] == "bea"
    record = read_corrections(out)
    assert state_of(out, record.cases["case_0"]) == "recorded"
    assert not list(out.glob(".saving-*"))
