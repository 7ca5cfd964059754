"""What a run knows of its certainty: of which weights, checked when it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mriseg.core.certainty import CertaintyMap
from mriseg.core.familiarity import ScanFacts, training_scans
from mriseg.errors import RunError
from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.runs import Run, open_run
from mriseg.io.runs.certainty import FILE, Certainty, read_certainty, write_certainty

KNOWN = Certainty(
    "ab" * 32,
    {"WT": CertaintyMap(0.8, 0.05, 0.9, 0.8, 0.9, 0.8, 9)},
    training_scans([ScanFacts((1.0, 1.0, 1.0), (9, 8, 7), {"T1": 0.3})]),
)


@pytest.mark.parametrize("known", [KNOWN, Certainty("ab" * 32)])
def test_it_is_read_as_it_was_written(tmp_path: Path, known: Certainty) -> None:
    assert read_certainty(tmp_path) is None
    write_certainty(tmp_path, known)
    assert read_certainty(tmp_path) == known


def test_beside_other_weights_it_counts_as_absent(trained: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", trained.manifest)
    shutil.copytree(trained.path, run.path)
    run.keep_certainty(KNOWN.regions, KNOWN.scans)
    kept = run.certainty()
    assert kept is not None and kept.regions == KNOWN.regions and kept.weights != KNOWN.weights
    write_certainty(run.path, KNOWN)
    assert open_run(run.path).certainty() is None
    (run.path / FILE).unlink()
    assert run.certainty() is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ('{"format": "mriseg-certainty", "version": 1, "weights": "a"}', "damaged"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(RunError, match=said):
        read_certainty(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 2}, "install a newer mriseg"),
        ({"format": "other"}, "of another format"),
        ({"regions": {"WT": {"exponent": -1}}}, "damaged"),
        ({"weights": 3}, "damaged"),
    ],
)
def test_what_it_cannot_hold_is_named(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    write_certainty(tmp_path, KNOWN)
    data = json.loads((tmp_path / FILE).read_text())
    del data["digest"]
    write_sealed_json(tmp_path / FILE, {**data, **changes})
    with pytest.raises(RunError, match=said):
        read_certainty(tmp_path)
