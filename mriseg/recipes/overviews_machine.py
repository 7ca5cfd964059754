"""What reports on a machine show of themselves, in a notebook or a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from mriseg.core.wording import counted, duration
from mriseg.overview.values import Column, Overview
from mriseg.recipes.overviews import columns

if TYPE_CHECKING:
    # For the types alone: each report imports this module.
    from mriseg.recipes.bench import BenchReport
    from mriseg.recipes.doctor import DoctorReport
    from mriseg.recipes.info_machine import MachineInfo


def doctored(report: DoctorReport) -> Overview:
    """The verdict, and each check."""
    pace, memory = report.pace, report.memory
    safe = memory.safe_batch if memory else None
    return Overview(
        title=report.summary,
        facts=(
            ("backend", f"{report.backend['name']}, {report.backend['precision']}"),
            ("safe batch size", counted(safe, "slice") if safe is not None else ""),
            ("step", f"{pace.step:.3g} s" if pace else ""),
            ("epoch", f"{duration(pace.epoch)} ({report.task.source})" if pace else ""),
        ),
        records=[{**asdict(check), "verdict": str(check.verdict)} for check in report.findings],
        columns=columns(("name", "operation"), "verdict", "reason", "instead"),
    )


def benched(report: BenchReport) -> Overview:
    """What a batch costs."""
    chosen, config = report.machine.chosen, report.config
    h, w = config.size
    return Overview(
        title=f"{chosen['name']}, {chosen['precision']}: "
        f"{report.training.images_per_second:.1f} images/s in training, "
        f"{report.inference.images_per_second:.1f} in prediction",
        facts=(
            ("machine", f"{chosen['device name']}, {report.machine.system}"),
            ("network", f"width {config.width}, {report.parameters / 1e6:.1f} million parameters"),
            ("batch", f"{config.batch_size} slices of {h}x{w}"),
            ("reading", f"{report.reading.slices_per_second:.0f} slices/s"),
            ("preprocessing", f"{report.preprocessing.seconds.median:.2g} s for one case"),
            ("date", report.date),
        ),
        records=[
            {
                "batch": what,
                "seconds": work.seconds.median,
                "images_per_second": work.images_per_second,
                "memory": work.memory,
            }
            for what, work in (("training", report.training), ("prediction", report.inference))
        ],
        columns=(*columns("batch", "seconds"), Column("images_per_second", "images/s", 1)),
    )


def of_a_machine(info: MachineInfo) -> Overview:
    """A machine, and the backend that would be chosen."""
    memory = "" if info.memory is None else f"{info.memory / 2**30:.1f} GiB"
    return Overview(
        title=f"backend {info.chosen['name']}, since {info.chosen['reason']}",
        facts=(
            *info.versions.items(),
            ("system", info.system),
            ("cores", str(info.cores)),
            ("memory", memory),
        ),
        records=[
            {"backend": name, "available": ok, "reason": why} for name, ok, why in info.backends
        ],
        columns=columns("backend", "available", "reason"),
    )
