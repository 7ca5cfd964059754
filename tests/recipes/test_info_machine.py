"""What this machine has."""

from __future__ import annotations

from mriseg.backends import BACKENDS, select
from mriseg.recipes.info_machine import machine


def test_the_machine_lists_every_backend_and_why_not() -> None:
    info = machine(select("cpu"))
    assert [name for name, _, _ in info.backends] == list(BACKENDS)
    assert all(ok or why for _, ok, why in info.backends)
    assert ("cpu", True, "") in info.backends
    assert info.chosen["name"] == "cpu" and info.cores >= 1
    assert "unknown" not in info.versions.values()
