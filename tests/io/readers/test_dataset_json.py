"""`dataset.json` of both formats; tests/io/readers/test_nnunet.py has the damaged ones."""

from __future__ import annotations

from pathlib import Path

from mriseg.io.readers.dataset_json import Description, read_description


def test_none(tmp_path: Path) -> None:
    assert read_description(tmp_path / "dataset.json") == Description()


def test_both_formats(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_text('{"modality": {"0": "T1"}, "labels": {"0": "background", "1": "tumour"}}')
    assert read_description(path) == Description(("T1",), {"tumour": (1,)})
    path.write_text('{"channel_names": {"0": "T1"}, "labels": {"all": [1, 2], "foreground": 1}}')
    assert read_description(path) == Description(("T1",), {"all": (1, 2), "foreground_": (1,)})
