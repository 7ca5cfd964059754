"""The record of a folder of masks, written whole, changed by several, and checked when read."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.certainty import RegionCertainty
from mriseg.errors import OutputError
from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.disk.schemas import as_json
from mriseg.io.predictions import (
    MaskRecord,
    ModelName,
    Predictions,
    SkippedCase,
    put_in_place,
    read_predictions,
    record_path,
    update_predictions,
    written_files,
)


def mask_of(case: str, source: str = "in") -> MaskRecord:
    name = f"{case}.nii.gz"
    return MaskRecord(
        case=case,
        mask=name,
        files=(KnownFile(name, 3, 4, "5", "6"),),
        source=source,
        scan=(KnownFile("flair.nii", 1, 2, "3"),),
        model=ModelName("base", "abc"),
        settings={"threshold": [0.5], "flips": True},
        modalities=("FLAIR",),
        missing=("T1",),
        unused=(),
        notices=("odd",),
        volumes={"WT": 1.5},
        unit="mm",
        trained_on=False,
        created="2026-01-02T03:04:05+00:00",
        backend="cpu",
        versions={"mriseg": "0.1.0"},
        certainty={"WT": RegionCertainty(0.8, 0.9, 1.0, 2.5, 3, 0.8)},
        flags=("no T1",),
    )


def test_where_it_is() -> None:
    assert record_path(Path("masks")) == Path("masks/report.json")
    assert record_path(Path("a/my.mask.nii.gz")) == Path("a/my.mask.report.json")


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert read_predictions(path) == Predictions()
    update_predictions(path, lambda now: now.with_mask(mask_of("b")))
    update_predictions(path, lambda now: now.with_mask(mask_of("a")))
    skipped = SkippedCase("c", "in", "broken")
    update_predictions(path, lambda now: now.with_skipped(skipped))
    read = read_predictions(path)
    assert read.masks == {"a.nii.gz": mask_of("a"), "b.nii.gz": mask_of("b")}
    assert list(read.masks) == sorted(read.masks) and read.skipped == (skipped,)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


def test_a_record_of_version_1_is_still_read_and_written_as_version_2(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    old = as_json(mask_of("a"))
    del old["certainty"], old["flags"]
    before = {"format": "mriseg-masks", "version": 1, "masks": [old], "skipped": [], "unused": {}}
    write_sealed_json(path, before)
    expected = replace(mask_of("a"), certainty={}, flags=())
    assert read_predictions(path).masks == {"a.nii.gz": expected}
    update_predictions(path, lambda now: now.with_mask(mask_of("b")))
    assert json.loads(path.read_text())["version"] == 2
    assert read_predictions(path).masks == {"a.nii.gz": expected, "b.nii.gz": mask_of("b")}


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: mask.pop("flags"),
        lambda mask: mask.pop("certainty"),
        lambda mask: mask["certainty"]["WT"].update(expected_dice=1.5),
        lambda mask: mask["certainty"]["WT"].update(volume_low=-1),
    ],
)
def test_what_is_lost_or_impossible_is_damage(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = tmp_path / "report.json"
    mask = as_json(mask_of("a"))
    change(mask)
    record = {"format": "mriseg-masks", "version": 2, "masks": [mask], "skipped": [], "unused": {}}
    write_sealed_json(path, record)
    with pytest.raises(OutputError, match="damaged"):
        read_predictions(path)


_CASES = st.sampled_from(["a", "b"])
_STEPS = st.lists(st.tuples(_CASES, st.sampled_from(["in", "other"]), st.booleans()), max_size=6)


@given(_STEPS)
def test_a_case_is_skipped_or_not_as_it_was_last(steps: list[tuple[str, str, bool]]) -> None:
    record = Predictions()
    for case, source, is_made in steps:
        if is_made:
            record = record.with_mask(mask_of(case, source))
        else:
            record = record.with_skipped(SkippedCase(case, source, "why"))
    last = {(case, source): is_made for case, source, is_made in steps}
    assert {(item.case, item.source) for item in record.skipped} == {
        key for key, is_made in last.items() if not is_made
    }
    assert set(record.masks) == {f"{case}.nii.gz" for case, _, is_made in steps if is_made}


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    cases = [f"case{number}" for number in range(24)]

    def write(case: str) -> None:
        update_predictions(path, lambda now: now.with_mask(mask_of(case)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, cases))
    assert sorted(read_predictions(path).masks) == sorted(f"{case}.nii.gz" for case in cases)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not the record of masks"),
        ("[]", "not the record of masks"),
        ('{"cases": []}', "not the record of masks"),
        ('{"format": "mriseg-masks", "version": 3}', "install a newer mriseg"),
        ('{"format": "mriseg-masks", "version": "x"}', "not a version"),
        ('{"format": "mriseg-masks", "version": 1, "masks": []}', "damaged or was edited"),
    ],
)
def test_what_is_no_record_is_named_and_left(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(OutputError, match=said):
        update_predictions(path, lambda now: now.with_mask(mask_of("a")))
    assert path.read_text() == content


def test_only_a_damaged_one_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for masks in ("none", [{"case": "a"}]):
        document = {"format": "mriseg-masks", "version": 1, "masks": masks, "skipped": []}
        write_sealed_json(path, document)
        with pytest.raises(OutputError, match="damaged or was edited"):
            read_predictions(path)
        assert read_predictions(path, replaces_damaged=True) == Predictions()
    path.write_text("{}")
    with pytest.raises(OutputError, match="not the record"):
        read_predictions(path, replaces_damaged=True)
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError, match="cannot be read"):
        read_predictions(path)


def test_an_unchanged_record_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    update_predictions(path, lambda now: now)
    assert not path.exists()
    update_predictions(path, lambda now: now.with_mask(mask_of("a")))
    before = path.stat()
    update_predictions(path, lambda now: now.with_mask(mask_of("a")))
    assert path.stat() == before
    assert json.loads(path.read_text())["masks"][0]["settings"]["threshold"] == [0.5]


def test_files_are_moved_together(tmp_path: Path) -> None:
    part, target = tmp_path / ".part", tmp_path / "a.nii.gz"
    part.mkdir()
    for name in ("a.png", "a.nii.gz", "a_prob_WT.nii.gz", "lock"):
        (part / name).write_text(name)
    (tmp_path / "a_prob_ET.nii.gz").write_text("old")
    files = written_files(part, target)
    assert [file.name for file in files] == ["a.nii.gz", "a.png", "a_prob_WT.nii.gz"]
    put_in_place(part, target, files, ["a_prob_ET.nii.gz", "gone"])
    assert sorted(p.name for p in tmp_path.iterdir()) == [".part", *(f.name for f in files)]
    # Known where they lie now, without their bytes being read.
    assert all(replace(f, sha256="").is_still(tmp_path / f.name) for f in files)
    with pytest.raises(OutputError, match=r"a\.nii\.gz cannot be written"):
        put_in_place(part, target, files, [])
