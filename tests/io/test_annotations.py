"""What is kept of a session is read as it was written, and never stands in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io.annotations import (
    FILE,
    Annotation,
    Described,
    known,
    read_annotation,
    write_annotation,
)
from mriseg.io.disk.checksums import write_sealed_json


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_annotation(tmp_path) == Annotation()
    label = tmp_path / "a_seg.nii.gz"
    label.write_bytes(b"labels")
    kept = Annotation("scans").with_described(Described("a", "12", (0.5, -1.0)))
    kept = kept.with_described(Described("a", "13", (0.25, 1e-9))).with_labels("a", known(label))
    write_annotation(tmp_path, kept)
    assert read_annotation(tmp_path) == kept
    assert kept.labels["a"].is_still(label)
    with pytest.raises(InputError, match="cannot be read"):
        known(tmp_path / "gone")


@pytest.mark.parametrize("content", ["", "[]", '{"format": "mriseg-annotation", "version": 1}'])
def test_a_damaged_one_is_made_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert read_annotation(tmp_path) == Annotation()
    # Sealed, and of another form all the same.
    for document in ({"format": "mriseg-annotation", "version": 1, "described": 3}, {"format": 1}):
        write_sealed_json(tmp_path / FILE, document)
        assert read_annotation(tmp_path) == Annotation()
    write_annotation(tmp_path, Annotation("scans"))
    assert read_annotation(tmp_path) == Annotation("scans")
