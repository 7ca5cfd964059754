"""Older formats are read, newer ones are refused, and real older files open."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mriseg.backends import select
from mriseg.core.volume import SliceRef
from mriseg.errors import RunError, StoreError
from mriseg.events import Event, Notice, finish
from mriseg.io.disk.checksums import as_written
from mriseg.io.disk.versions import reading
from mriseg.io.runs import open_run
from mriseg.io.store import open_store
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.predict import predict
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import resume
from mriseg.recipes.verify import VerifyReport, verify

OLDER = Path(__file__).resolve().parent.parent / "data" / "older"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (4, "thing 4, and this mriseg reads 3 at most; install a newer mriseg"),
        (1, "thing 1, which this mriseg no longer reads; make it anew"),
        (0, "thing 0, which is no version: it is damaged; make it anew"),
        (-1, "which is no version"),
        ("2", "thing '2', which is no version"),
        (True, "which is no version"),
        (None, "which is no version"),
        (2.0, "which is no version"),
    ],
)
def test_a_version_that_is_not_in_the_table_is_told(version: object, said: str) -> None:
    table = {2: "two", 3: "three"}
    kwargs = {"what": "thing", "remedy": "make it anew"}
    with pytest.raises(StoreError, match=said):
        reading(table, version, error=StoreError, **kwargs)
    assert reading(table, 2, error=RunError, **kwargs) == "two"


@pytest.fixture(params=sorted(path.stem for path in OLDER.glob("*.zip")))
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with zipfile.ZipFile(OLDER / f"{request.param}.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def verified(path: Path, **options: object) -> tuple[VerifyReport, str]:
    told: list[Event] = []
    report = finish(verify(path, **options), told.append)  # type: ignore[arg-type]
    return report, "\n".join(event.text for event in told if isinstance(event, Notice))


def test_what_an_earlier_version_wrote_is_used_and_brought_up(older: Path) -> None:
    store, run, backend = open_store(older / "out.zarr"), open_run(older / "run"), select("cpu")
    assert len(store.index().cases) == 4
    read = {"modalities": ["FLAIR"], "regions": store.spec.regions, "frame": (32, 32)}
    for name in store.cases():
        case = store.read_case(name)
        slices = [SliceRef(name, z) for z in range(case.box.shape[0])]
        assert store.read(slices, **read).image.any()
    assert run.thresholds and run.load("last").optimiser
    report = finish(evaluate(store, run, backend, include_seen=True, pictures=False))
    assert len({score.case for score in report.scores}) == 4
    finish(predict(older / "scans", older / "masks", run, backend))
    with pytest.raises(RunError, match="has ended"):
        finish(resume(run, backend, store))

    found, told = verified(older / "out.zarr", sources=[older / "scans"])
    assert not found.faults and len(found.unsealed) == 6
    assert "earlier version" in told and "preprocess" in told
    found, told = verified(older / "run")
    assert not found.faults and found.unsealed and "earlier version" in told

    before = {name: store.read_case(name).image for name in store.cases()}
    made = finish(preprocess(older / "scans", older / "out.zarr", workers=1))
    assert {case.status for case in made.cases} == {"kept"}
    found, told = verified(older / "out.zarr", sources=[older / "scans"])
    assert not found.faults and not found.unsealed and "earlier version" not in told
    renewed = open_store(older / "out.zarr")
    assert all(case.fingerprint for case in renewed.index().cases)
    for name, image in before.items():
        assert np.array_equal(renewed.read_case(name).image, image)
    with (older / "out.zarr" / "zarr.json").open("rb") as file:
        assert as_written(file)


def test_damage_to_what_an_earlier_version_wrote_is_found_and_mended(older: Path) -> None:
    """As far as it shows: in what cannot be read, and in labels that are not those counted."""
    out = older / "out.zarr"
    cases = sorted((out / "cases").glob("*_00?"))
    (cases[0] / "image/c/0/0/0/0").unlink()
    shard = cases[1] / "image/c/0/0/0/0"
    shard.write_bytes(shard.read_bytes()[:-7])
    (label,) = (cases[2] / "label/c").rglob("0/0/0")
    other = next((cases[3] / "label/c").rglob("0/0/0"))
    label.write_bytes(other.read_bytes())
    found, _ = verified(out)
    assert {fault.case for fault in found.faults} == {case.name for case in cases[:3]}
    store = open_store(out)
    for case in cases[:2]:
        with pytest.raises(StoreError, match=f"case {case.name} cannot be read"):
            store.read_case(case.name)
    made = finish(preprocess(older / "scans", out, workers=1))
    status = {case.case: case.status for case in made.cases}
    assert status == {case.name: "written" for case in cases[:3]} | {cases[3].name: "kept"}
    found, _ = verified(out, sources=[older / "scans"])
    assert not found.faults and not found.unsealed
