"""What a reader has to know of the options of a command."""

from __future__ import annotations

from pathlib import Path

from mriseg.core.keywords import ScanKeywords
from mriseg.io.readers import ReaderOptions
from mriseg.recipes.scans import ScanOptions


def test_keywords_are_the_fields() -> None:
    assert {*ScanKeywords.__annotations__} == {*ScanOptions.__dataclass_fields__}


def test_for_readers() -> None:
    assert ScanOptions().for_readers == ReaderOptions()
    options = ScanOptions(channels="T1, FLAIR", labels="masks", regions="x=3")
    assert options.for_readers == ReaderOptions(("T1", "FLAIR"), Path("masks"), own_labels=True)
    assert ScanOptions(channels=["T1"], regions="WT").for_readers == ReaderOptions(("T1",))
