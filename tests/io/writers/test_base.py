from __future__ import annotations

import inspect

import pytest

from mriseg.io.writers import WRITERS, Writer


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_has_the_shape_of_the_protocol(name: str) -> None:
    writer = WRITERS[name]
    assert writer.suffix.startswith(".")
    expected = list(inspect.signature(Writer.write).parameters)[1:]
    assert list(inspect.signature(writer.write).parameters) == expected
