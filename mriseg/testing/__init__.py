"""What every plug-in is held to: test suites to inherit, with pytest, and synthetic scans for them.

`ReaderContract`
    a data layout (entry points ``mriseg.readers``).
`ExporterContract`
    an export format (``mriseg.exporters``).
`BackendContract`
    a device (``mriseg.backends``).
`ExecutorContract`
    a kind of workers (``mriseg.executors``).
`StripperContract`
    a skull stripper (``mriseg.strippers``).
`TrackerContract`
    a tracker of trainings (``mriseg.trackers``).
`phantoms`
    synthetic heads, and folders of them as the public data sets lay them out.

mriseg holds its own readers, exporters, backends, executors, strippers and trackers to the same
suites. They need pytest, which ``pip install "mriseg[testing]"`` brings; nothing else in mriseg
imports it.
"""

from __future__ import annotations

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f'mriseg.testing needs {error.name}, which is not installed: pip install "mriseg[testing]"',
        name=error.name,
    ) from None

# Before the modules are imported, so that an assertion that fails shows the values in it.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{suite}"
        for suite in ("backends", "executors", "exporters", "readers", "strippers", "trackers")
    )
)

from mriseg.testing import phantoms
from mriseg.testing.backends import BackendContract
from mriseg.testing.executors import ExecutorContract
from mriseg.testing.exporters import ExporterContract
from mriseg.testing.readers import ReaderContract, Truth
from mriseg.testing.strippers import StripperContract
from mriseg.testing.trackers import Tracked, TrackerContract

__all__ = [
    "BackendContract",
    "ExecutorContract",
    "ExporterContract",
    "ReaderContract",
    "StripperContract",
    "Tracked",
    "TrackerContract",
    "Truth",
    "phantoms",
]
