"""Reports as tables for people; CSV and JSON hold the numbers in full."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mriseg.cli.render import clock, plain, say

if TYPE_CHECKING:
    # For the types alone: they would load torch before the help is shown.
    from mriseg.recipes.bench import BenchReport, Work
    from mriseg.recipes.demo import DemoReport
    from mriseg.recipes.doctor import DoctorReport
    from mriseg.recipes.evaluate import EvaluateReport
    from mriseg.recipes.info import MachineInfo, RunInfo, StoreInfo
    from mriseg.recipes.predict import PredictReport
    from mriseg.recipes.preprocess import PreprocessReport
    from mriseg.recipes.timing import Timing
    from mriseg.recipes.train import TrainReport


def preprocessed(console: Console, report: PreprocessReport) -> None:
    """A row a case that was skipped or has something odd, and how many there are of each kind."""
    rows = [
        (case.case, case.status, case.reason or "; ".join(case.notices))
        for case in report.cases
        if case.reason or case.notices
    ]
    if rows:
        _table(console, ("case", "", "what is odd"), rows)
    count = dict.fromkeys(("written", "kept", "skipped"), 0)
    for case in report.cases:
        count[case.status] += 1
    told = ", ".join(f"{number} {kind}" for kind, number in count.items() if number)
    labelled = sum(case.labelled for case in report.cases)
    say(console, f"{report.store}: {len(report.cases)} cases ({told}), {labelled} labelled")


def trained(console: Console, report: TrainReport) -> None:
    """The best validation, case by case."""
    if report.dice:
        regions = list(next(iter(report.dice.values())))
        _table(
            console,
            ("validation case", *(f"Dice {region}" for region in regions)),
            [
                (case, *(_number(scores[region]) for region in regions))
                for case, scores in report.dice.items()
            ],
        )
    say(
        console,
        f"best Dice {report.best:.4f} at epoch {report.best_epoch} of {report.epochs}, "
        f"in {clock(report.seconds)}: {report.reason}",
    )
    say(console, f"run: {report.run}")


def predicted(console: Console, report: PredictReport) -> None:
    """The volume of each region of each case."""
    regions = list(report.results[0].volumes)
    units = dict.fromkeys(_volume_unit(result.unit) for result in report.results)
    rows = [
        (
            result.case,
            *(f"{_volume(result.volumes[region], result.unit)}" for region in regions),
            str(result.mask),
        )
        for result in report.results
    ]
    _table(console, ("case", *(f"{r} ({' or '.join(units)})" for r in regions), "mask"), rows)


def evaluated(console: Console, report: EvaluateReport) -> None:
    """A row a case and region, then each metric's mean, interval and median."""
    units = " or ".join(dict.fromkeys(score.unit for score in report.scores))
    volumes = " or ".join(dict.fromkeys(_volume_unit(score.unit) for score in report.scores))
    _table(
        console,
        (
            "case",
            "region",
            "Dice",
            "IoU",
            "sensitivity",
            "precision",
            f"HD95 ({units})",
            f"ASSD ({units})",
            f"volume ({volumes})",
            "true volume",
        ),
        [
            (
                score.case + (" *" if score.case in report.seen else ""),
                score.region,
                *map(_number, (score.dice, score.iou, score.sensitivity, score.precision)),
                *(_number(value, 2) for value in (score.hd95, score.assd)),
                *(_volume(v, score.unit) for v in (score.volume_pred, score.volume_truth)),
            )
            for score in report.scores
        ],
        text=2,
    )
    if any(score.case in report.seen for score in report.scores):
        say(console, "* the model was trained on this case: it says nothing of others")
    names = {"dice": "Dice", "iou": "IoU", "hd95": f"HD95 ({units})", "assd": f"ASSD ({units})"}
    _table(
        console,
        ("region", "metric", "mean", "95 % interval", "median", "cases", "undefined"),
        [
            (
                row.region,
                names.get(row.metric, row.metric),
                _number(row.mean),
                "-" if math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f}",
                _number(row.median),
                str(row.cases),
                str(row.undefined),
            )
            for row in report.summary
        ],
        text=2,
    )


def machine(console: Console, info: MachineInfo) -> None:
    """The machine, every backend, and the one that would be chosen."""
    memory = "unknown" if info.memory is None else f"{info.memory / 2**30:.1f} GiB"
    _pairs(
        console,
        {
            **info.versions,
            "system": info.system,
            "cores": str(info.cores),
            "memory": memory,
        },
    )
    _table(
        console,
        ("backend", "here", "why not"),
        [(name, "yes" if ok else "no", why) for name, ok, why in info.backends],
        text=3,
    )
    say(console, f"chosen: {info.chosen['name']}, since {info.chosen['reason']}")
    told = ("name", "reason", "notes", "decisions", "torch", "precision", "memory format")
    shown = {key: str(value) for key, value in info.chosen.items() if key not in told}
    _pairs(console, shown)
    _decisions(console, info.chosen)


def doctored(console: Console, report: DoctorReport) -> None:
    """A row a check, what was decided, and what a training takes."""
    _table(
        console,
        ("operation", "error", "of its gradient", "tolerated", "verdict", ""),
        [
            (
                found.name,
                *map(_error, (found.forward, found.gradient)),
                " and ".join(
                    dict.fromkeys(map(_error, (found.tolerance, found.gradient_tolerance)))
                ),
                found.verdict,
                "; ".join(filter(None, (found.reason, found.instead))),
            )
            for found in report.findings
        ],
        text=1,
    )
    _decisions(console, report.backend)
    task, told = report.task, {}
    h, w = task.size
    if memory := report.memory:
        free = "unknown" if memory.free is None else f"{memory.free / 2**30:.1f} GiB"
        safe = "unknown" if memory.safe_batch is None else f"{memory.safe_batch} slices"
        told["memory"] = (
            f"{free} free; a step takes {memory.fixed / 2**30:.2f} GiB and, with a margin, "
            f"{memory.per_slice * memory.margin / 2**20:.0f} MiB a slice of {h}x{w} "
            f"at width {task.width}"
        )
        told["safe batch"] = safe
    if pace := report.pace:
        scaled = f", from one of {pace.timed_batch}" * (pace.timed_batch != task.batch_size)
        told["step"] = f"{pace.step:.3g} s for a batch of {task.batch_size}{scaled}"
        told["epoch"] = (
            f"{clock(pace.epoch)} for {pace.batches} steps, without validation ({task.source})"
        )
    if told:
        _pairs(console, told)
    say(console, report.summary, "bold" if report.fit else "bold red")


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}" if value else "0"


def _decisions(console: Console, chosen: Mapping[str, Any]) -> None:
    _table(
        console,
        ("decided", "how", "why"),
        [(d["what"], d["how"], d["why"]) for d in chosen["decisions"]],
        text=3,
    )
    for note in chosen["notes"]:
        say(console, f"note: {note}")


def store(console: Console, info: StoreInfo) -> None:
    """What a store holds."""
    _pairs(
        console,
        {
            "store": info.location,
            "layout": info.layout,
            "cases": f"{info.cases} of {info.patients} patients, {info.labelled} labelled",
            "slices": str(info.slices),
            "modalities": _each(info.modalities, "cases"),
            "regions": ", ".join(_regions(info.regions)),
            "slices with": _each(info.foreground, "slices"),
            "labels": ", ".join(f"{value} {name}" for value, name in info.labels.items()),
        },
    )


def run(console: Console, info: RunInfo) -> None:
    """What a run holds."""
    dice = "no validation yet" if info.dice is None else f"{info.dice:.4f}"
    _pairs(
        console,
        {
            "run": str(info.path),
            "created": info.created,
            "network": f"width {info.width}: {'+'.join(info.modalities)} -> "
            f"{', '.join(_regions(info.regions))}",
            "store": info.store,
            "cases": f"{info.train} train, {info.validation} validate",
            "transferred from": info.parent or "",
            "epochs": str(info.epochs),
            "best Dice": dice,
            "state": f"ended: {info.ended}"
            if info.ended
            else "not ended: mriseg train --resume goes on",
            "made with": ", ".join(f"{name} {value}" for name, value in info.versions.items()),
        },
    )


def shown(console: Console, report: DemoReport) -> None:
    """The demo's numbers and its picture."""
    evaluated(console, report.scores)
    say(console, f"trained in {clock(report.train.seconds)}, best Dice {report.train.best:.3f}")
    say(console, f"transferred to FLAIR alone: best Dice {report.transfer.best:.3f}")
    say(console, f"exported: {report.export.path}")
    say(console, f"mask:     {report.mask}")
    say(console, f"picture:  {report.picture}", "bold")
    say(
        console,
        f"Done in {clock(report.seconds)}. Three patients, one of whom both chose the best epoch "
        f"and was measured, show that it works and not how well.",
    )


def measured(console: Console, report: BenchReport) -> None:
    """What a batch costs, what the machine could, and how fast data comes."""
    chosen, config, reading = report.machine.chosen, report.config, report.reading
    h, w = config.size
    _pairs(
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
    _table(
        console,
        ("a batch", "median", "range", "images/s", "memory", "of the rate of products"),
        [
            ("training step", *_work(report.training)),
            ("inference", *_work(report.inference)),
        ],
        text=1,
    )
    _table(
        console,
        ("products of matrices", "best rate", "of side"),
        [
            (rate.dtype, f"{_si(rate.operations_per_second)}FLOP/s", str(rate.side))
            for rate in report.products
        ],
        text=1,
    )
    m, n = reading.frame
    _table(
        console,
        ("data", "median", "range", "slices/s"),
        [
            (
                f"a batch of {reading.batch_size} slices of {len(reading.modalities)} x {m}x{n} "
                f"from {reading.source} ({reading.cases} cases)",
                *_timing(reading.seconds),
                f"{reading.slices_per_second:.0f}",
            ),
            (
                "preprocessing a case of the sample, one process",
                *_timing(report.preprocessing.seconds),
                "",
            ),
        ],
        text=1,
    )
    say(console, f"memory: {report.training.memory_is}, at the peak")


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


def _table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    text: int | None = None,
) -> None:
    """A table; the first ``text`` columns (None: all that hold no number) are set to the left."""
    cells = [[plain(cell) for cell in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        column = [row[index] for row in cells]
        left = index < text if text is not None else not all(map(_is_number, column))
        table.add_column(Text(plain(name)), justify="left" if left else "right", overflow="fold")
    for row in cells:
        # As Text, since a name such as [t1] would else be taken for markup.
        table.add_row(*map(Text, row))
    console.print(table)


def _pairs(console: Console, pairs: Mapping[str, str]) -> None:
    width = max(map(len, pairs))
    for key, value in pairs.items():
        if value:
            say(console, f"{key:<{width}}  {value}")
    console.print()


def _regions(regions: Mapping[str, Sequence[int]]) -> Iterable[str]:
    return (f"{name} = {'+'.join(map(str, labels))}" for name, labels in regions.items())


def _each(counts: Mapping[str, int], unit: str) -> str:
    return ", ".join(f"{name} ({count} {unit})" for name, count in counts.items())


def _number(value: Any, places: int = 3) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{places}f}"


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.replace(".", "", 1).isdigit()


def _volume_unit(unit: str) -> str:
    return "mL" if unit == "mm" else "voxels"


def _volume(value: float, unit: str) -> str:
    return f"{value:.2f}" if unit == "mm" else f"{value:.0f}"
