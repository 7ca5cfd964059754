"""What a machine has, whether it computes correctly and how fast it is, as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from mriseg.cli.render import say
from mriseg.cli.reports.table import pairs, table
from mriseg.console.stage import clock
from mriseg.core.wording import counted

if TYPE_CHECKING:
    # For the types alone: they would load torch before the help is shown.
    from mriseg.engine.timing import Timing
    from mriseg.recipes.bench import BenchReport, Work
    from mriseg.recipes.doctor import DoctorReport
    from mriseg.recipes.info_machine import MachineInfo


def machine(console: Console, info: MachineInfo) -> None:
    """The machine, every backend, and the one that would be chosen."""
    memory = "unknown" if info.memory is None else f"{info.memory / 2**30:.1f} GiB"
    pairs(
        console,
        {
            **info.versions,
            "system": info.system,
            "cores": str(info.cores),
            "memory": memory,
        },
    )
    table(
        console,
        ("backend", "available", "reason"),
        [(name, "yes" if ok else "no", why) for name, ok, why in info.backends],
        text=3,
    )
    say(console, f"chosen: {info.chosen['name']}, since {info.chosen['reason']}")
    elsewhere = ("name", "reason", "notes", "decisions", "torch", "precision", "memory format")
    rest = {key: str(value) for key, value in info.chosen.items() if key not in elsewhere}
    pairs(console, rest)
    _decisions(console, info.chosen)


def doctored(console: Console, report: DoctorReport) -> None:
    """One row per check, what was decided, and what a training takes."""
    table(
        console,
        ("operation", "error", "gradient error", "tolerance", "verdict", "notes"),
        [
            (
                check.name,
                *map(_error, (check.forward, check.gradient)),
                " and ".join(
                    dict.fromkeys(map(_error, (check.tolerance, check.gradient_tolerance)))
                ),
                check.verdict,
                "; ".join(filter(None, (check.reason, check.instead))),
            )
            for check in report.findings
        ],
        text=1,
    )
    _decisions(console, report.backend)
    task, estimates = report.task, {}
    h, w = task.size
    if memory := report.memory:
        free = "unknown" if memory.free is None else f"{memory.free / 2**30:.1f} GiB"
        safe = "unknown" if memory.safe_batch is None else f"{memory.safe_batch} slices"
        estimates["memory"] = (
            f"{free} free; a step takes {memory.fixed / 2**30:.2f} GiB and, with a margin, "
            f"{memory.per_slice * memory.margin / 2**20:.0f} MiB per slice of {h}x{w} "
            f"at width {task.width}"
        )
        estimates["safe batch size"] = safe
    if pace := report.pace:
        scaled = f", estimated from a batch of {pace.timed_batch}" * (
            pace.timed_batch != task.batch_size
        )
        estimates["step"] = f"{pace.step:.3g} s for a batch of {task.batch_size}{scaled}"
        estimates["epoch"] = (
            f"{clock(pace.epoch)} for {pace.batches} steps, without validation ({task.source})"
        )
    if estimates:
        pairs(console, estimates)
    say(console, report.summary, "bold" if report.fit else "bold red")


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}" if value else "0"


def _decisions(console: Console, chosen: Mapping[str, Any]) -> None:
    table(
        console,
        ("choice", "value", "reason"),
        [(d["what"], d["how"], d["why"]) for d in chosen["decisions"]],
        text=3,
    )
    for note in chosen["notes"]:
        say(console, f"note: {note}")


def measured(console: Console, report: BenchReport) -> None:
    """What a batch costs, what the machine is capable of, and how fast data is read."""
    chosen, config, reading = report.machine.chosen, report.config, report.reading
    h, w = config.size
    pairs(
        console,
        {
            "machine": f"{chosen['device name']}, {report.machine.system}, "
            f"{report.machine.cores} cores",
            "backend": f"{chosen['name']}, {chosen['precision']}" + ", compiled" * report.compiled,
            "network": f"width {config.width}, {report.parameters / 1e6:.1f} million parameters",
            "batch": f"{config.batch_size} slices of {h}x{w}",
            "versions": ", ".join(f"{k} {report.machine.versions[k]}" for k in ("mriseg", "torch")),
            "date": report.date,
        },
    )
    table(
        console,
        ("batch", "median", "range", "images/s", "memory", "share of matmul rate"),
        [
            ("training step", *_work(report.training)),
            ("inference", *_work(report.inference)),
        ],
        text=1,
    )
    table(
        console,
        ("matrix product", "best rate", "matrix size"),
        [
            (rate.dtype, f"{_si(rate.operations_per_second)}FLOP/s", str(rate.side))
            for rate in report.products
        ],
        text=1,
    )
    m, n = reading.frame
    table(
        console,
        ("data", "median", "range", "slices/s"),
        [
            (
                f"batch of {reading.batch_size} slices of {len(reading.modalities)} x {m}x{n} "
                f"from {reading.source} ({counted(reading.cases, 'case')})",
                *_timing(reading.seconds),
                f"{reading.slices_per_second:.0f}",
            ),
            (
                "preprocessing one case of the sample, one process",
                *_timing(report.preprocessing.seconds),
                "",
            ),
        ],
        text=1,
    )
    say(console, f"memory: peak, {report.training.memory_is}")


def _work(work: Work) -> Iterable[str]:
    memory = "unknown" if work.memory is None else f"{work.memory / 2**30:.2f} GiB"
    return (
        *_timing(work.seconds),
        f"{work.images_per_second:.3g}",
        memory,
        f"{work.share:.1%}",
    )


def _timing(timing: Timing) -> tuple[str, str]:
    return _seconds(timing.median), f"{_seconds(timing.low)} to {_seconds(timing.high)}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


_PREFIXES = ("", "k", "M", "G", "T", "P")


def _si(value: float) -> str:
    """With three digits and the prefix of thousands: 190 G."""
    thousands = min(int(math.log10(value) // 3), len(_PREFIXES) - 1)
    return f"{value / 1000**thousands:.3g} {_PREFIXES[thousands]}"
