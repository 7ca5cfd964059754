"""A version in the table is read; older and newer ones, and what is not a version, are refused."""

from __future__ import annotations

import pytest

from mriseg.errors import RunError, StoreError
from mriseg.io.disk.versions import reading


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (4, "thing 4, and this mriseg reads 3 at most; install a newer mriseg"),
        (1, "thing 1, which this mriseg no longer reads; make it again"),
        (0, "thing 0, which is not a version: it is damaged; make it again"),
        (-1, "which is not a version"),
        ("2", "thing '2', which is not a version"),
        (True, "which is not a version"),
        (None, "which is not a version"),
        (2.0, "which is not a version"),
    ],
)
def test_a_version_that_is_not_in_the_table_is_refused(version: object, said: str) -> None:
    table = {2: "two", 3: "three"}
    kwargs = {"what": "thing", "remedy": "make it again"}
    with pytest.raises(StoreError, match=said):
        reading(table, version, error=StoreError, **kwargs)
    assert reading(table, 2, error=RunError, **kwargs) == "two"
