"""Check: verify, doctor, bench, demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mriseg.api._given import OnEvent, Stored, backend_of, names_of, store_of
from mriseg.api._running import run_to_end
from mriseg.backends import AUTO, Backend
from mriseg.core.config import parse
from mriseg.core.train_settings import height_width
from mriseg.engine.workloads import BenchConfig
from mriseg.io.location import Location, local_path
from mriseg.recipes import bench as benches
from mriseg.recipes import verify as verification
from mriseg.recipes.bench import BenchReport
from mriseg.recipes.demo import DemoReport
from mriseg.recipes.demo import demo as demo_recipe
from mriseg.recipes.doctor import DoctorReport
from mriseg.recipes.doctor import doctor as doctor_recipe
from mriseg.recipes.verify import VerifyReport


def verify(
    path: str | Path | Location,
    *,
    sources: str | Path | Sequence[str | Path] = (),
    layout: str = "auto",
    channels: str | Sequence[str] | None = None,
    on_event: OnEvent | None = None,
) -> VerifyReport:
    """Whether a store, a run or an exported file is what was written, and its sources unchanged.

    See `mriseg.recipes.verify.verify` for the arguments and what is raised. What is wrong is in the
    report's ``faults``, and raised by `mriseg.recipes.verify.check_whole`.
    """
    given = [sources] if isinstance(sources, str | Path) else sources
    folders = [local_path(folder, "a folder of scans") for folder in given]
    recipe = verification.verify(path, sources=folders, layout=layout, channels=names_of(channels))
    return run_to_end(recipe, on_event)


def bench(
    store: Stored | None = None,
    *,
    width: int = 64,
    batch_size: int = 10,
    size: str | tuple[int, int] = (240, 240),
    quick: bool = False,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> BenchReport:
    """Measure this machine: a training step, inference, reading and preprocessing.

    See `mriseg.recipes.bench.bench` for the arguments and what is raised; ``size`` is height and
    width, or a text such as "240x240".
    """
    settings = {"width": width, "batch_size": batch_size, "size": height_width(size)}
    config = parse(BenchConfig, {**settings, "quick": quick})
    opened = None if store is None else store_of(store)
    return run_to_end(benches.bench(backend_of(backend), config, opened), on_event)


def doctor(
    store: Stored | None = None,
    *,
    width: int = 64,
    batch_size: int = 10,
    size: str | tuple[int, int] | None = None,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> DoctorReport:
    """Whether this machine computes correctly, how large a batch it holds, how long an epoch takes.

    See `mriseg.recipes.doctor.doctor` for the arguments and what is raised; ``size`` is height and
    width, or a text such as "240x240". What goes wrong is in the report, and raised by
    `mriseg.recipes.doctor.check_fit`.
    """
    where, opened = backend_of(backend), None if store is None else store_of(store)
    frame = None if size is None else height_width(size)
    recipe = doctor_recipe(where, opened, width=width, batch_size=batch_size, size=frame)
    return run_to_end(recipe, on_event)


def demo(
    out: str | Path = "demo",
    *,
    minutes: float = 2.5,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> DemoReport:
    """The whole chain on the sample in the package; see `mriseg.recipes.demo.demo`."""
    where = backend_of(backend)
    return run_to_end(demo_recipe(where, local_path(out, "the demo"), minutes=minutes), on_event)
