"""Reports as tables for people; CSV and JSON hold the numbers in full."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from mriseg.cli.render import clock, say
from mriseg.cli.reports.table import number, pairs, table
from mriseg.core.regions import join_labels
from mriseg.core.volume import volume_unit

if TYPE_CHECKING:
    # For the types alone: they would load torch before the help is shown.
    from mriseg.recipes.compare import CompareReport
    from mriseg.recipes.demo import DemoReport
    from mriseg.recipes.evaluate import EvaluateReport
    from mriseg.recipes.info import RunInfo, StoreInfo
    from mriseg.recipes.predict import PredictReport
    from mriseg.recipes.preprocess import PreprocessReport
    from mriseg.recipes.train import TrainReport
    from mriseg.recipes.verify import VerifyReport


def preprocessed(console: Console, report: PreprocessReport) -> None:
    """A row a case that was skipped or has something odd, and how many there are of each kind."""
    rows = [
        (case.case, case.status, case.reason or "; ".join(case.notices))
        for case in report.cases
        if case.reason or case.notices
    ]
    if rows:
        table(console, ("case", "", "what is odd"), rows)
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
        table(
            console,
            ("validation case", *(f"Dice {region}" for region in regions)),
            [
                (case, *(number(scores[region]) for region in regions))
                for case, scores in report.dice.items()
            ],
        )
    say(
        console,
        f"{_best(report)} of {report.epochs}, in {clock(report.seconds)}: {report.reason}",
    )
    say(console, f"run: {report.run}")


def _best(report: TrainReport) -> str:
    if report.best is None:
        return f"nothing validated; the weights are of epoch {report.best_epoch}"
    return f"best Dice {report.best:.4f} at epoch {report.best_epoch}"


def compared(console: Console, report: CompareReport) -> None:
    """A row a size and method with its difference to the baseline, and each size's verdict."""
    contrasts = report.comparison.contrasts
    baseline = report.comparison.cells[0].method
    against = {(c.size, c.method): c for c in contrasts if c.against == baseline}
    rows = []
    for cell in report.comparison.cells:
        contrast = against.get((cell.size, cell.method))
        found = contrast.difference if contrast else None
        rows.append(
            (
                str(cell.patients),
                cell.method,
                number(cell.dice.mean),
                _interval(cell.dice.low, cell.dice.high),
                f"{cell.seconds / 60:.1f}",
                f"{found.mean:+.3f}" if found else "",
                _interval(found.low, found.high) if found else "",
                f"{contrast.corrected:.2g}" if contrast else "",
            )
        )
    table(
        console,
        ("patients", "method", "Dice", "95 % interval", "minutes")
        + (f"to {baseline}", "95 % interval", "p"),
        rows,
        text=2,
    )
    held = max(cell.dice.patients for cell in report.comparison.cells)
    say(console, f"{held} patients held out; p is corrected for the number of methods")
    for contrast in contrasts:
        if contrast.against != baseline:
            told = f"{contrast.method} against {contrast.against}, {contrast.size} patients"
            say(console, f"{told}: {contrast.verdict}")
    for size, verdict in report.comparison.verdicts.items():
        say(console, f"{size} patients: {verdict}", "bold")
    say(console, f"comparison: {report.path}")


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def predicted(console: Console, report: PredictReport) -> None:
    """The volume of each region of each case."""
    regions = list(report.results[0].volumes)
    units = dict.fromkeys(volume_unit(result.unit) for result in report.results)
    rows = [
        (
            result.case,
            *(f"{_volume(result.volumes[region], result.unit)}" for region in regions),
            str(result.mask),
        )
        for result in report.results
    ]
    table(console, ("case", *(f"{r} ({' or '.join(units)})" for r in regions), "mask"), rows)


def evaluated(console: Console, report: EvaluateReport) -> None:
    """A row a case and region, then each metric's mean, interval and median."""
    # By now it is loaded; at the top it would load SciPy before the help is shown.
    from mriseg.core.surface import TOLERANCE

    units = " or ".join(dict.fromkeys(score.unit for score in report.scores))
    volumes = " or ".join(dict.fromkeys(volume_unit(score.unit) for score in report.scores))
    table(
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
                *map(number, (score.dice, score.iou, score.sensitivity, score.precision)),
                *(number(value, 2) for value in (score.hd95, score.assd)),
                *(_volume(v, score.unit) for v in (score.volume_pred, score.volume_truth)),
            )
            for score in report.scores
        ],
        text=2,
    )
    if any(score.case in report.seen for score in report.scores):
        say(console, "* the model was trained on this case: it says nothing of others")
    names = {
        **{"dice": "Dice", "iou": "IoU", "hd95": f"HD95 ({units})", "assd": f"ASSD ({units})"},
        **{"nsd": f"NSD at {TOLERANCE:g} {units}", "lesion_f1": "lesion F1"},
    }
    table(
        console,
        ("region", "metric", "mean", "95 % interval", "median", "cases", "undefined"),
        [
            (
                row.region,
                names.get(row.metric, row.metric),
                number(row.mean),
                "-" if math.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f}",
                number(row.median),
                str(row.cases),
                str(row.undefined),
            )
            for row in report.summary
        ],
        text=2,
    )


def store(console: Console, info: StoreInfo) -> None:
    """What a store holds."""
    pairs(
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
    pairs(
        console,
        {
            "run": str(info.path),
            "created": info.created,
            "network": f"width {info.width}: {'+'.join(info.modalities)} -> "
            f"{', '.join(_regions(info.regions))}",
            "store": info.store,
            "cases": f"{info.train} train, {info.validation} validate",
            "transferred from": info.parent or "",
            "how": info.policy,
            "never trained": ", ".join(info.frozen),
            "epochs": str(info.epochs),
            "best Dice": dice,
            "curves": str(info.curves or ""),
            "state": f"ended: {info.ended}"
            if info.ended
            else "not ended: mriseg train --resume goes on",
            "made with": ", ".join(f"{name} {value}" for name, value in info.versions.items()),
        },
    )


def shown(console: Console, report: DemoReport) -> None:
    """The demo's numbers and its picture."""
    evaluated(console, report.scores)
    say(console, f"trained in {clock(report.train.seconds)}: {_best(report.train)}")
    say(console, f"transferred to FLAIR alone: {_best(report.transfer)}")
    say(console, f"exported: {report.export.path}")
    say(console, f"mask:     {report.mask}")
    say(console, f"picture:  {report.picture}", "bold")
    say(
        console,
        f"Done in {clock(report.seconds)}. Three patients, one of whom both chose the best epoch "
        f"and was measured, show that it works and not how well.",
    )


def _regions(regions: Mapping[str, Sequence[int]]) -> Iterable[str]:
    return (f"{name} = {join_labels(labels)}" for name, labels in regions.items())


def _each(counts: Mapping[str, int], unit: str) -> str:
    return ", ".join(f"{name} ({count} {unit})" for name, count in counts.items())


def _volume(value: float, unit: str) -> str:
    return f"{value:.2f}" if unit == "mm" else f"{value:.0f}"


def verified(console: Console, report: VerifyReport) -> None:
    """A row a thing that is wrong, and how much was looked at."""
    if report.faults:
        table(
            console,
            ("case", "file", "slices", "what is wrong"),
            [
                (fault.case, fault.file, _slices(fault.slices), fault.what)
                for fault in report.faults
            ],
        )
    table(console, ("checked", "how many"), [(k, str(v)) for k, v in report.checked.items()])
    wrong = len(report.faults)
    found = f"{wrong} thing{'s' * (wrong != 1)} wrong" if wrong else "nothing is wrong"
    say(console, f"{report.path}: {report.kind}, format {report.version}: {found}")


def _slices(numbers: Sequence[int]) -> str:
    """The first few."""
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
