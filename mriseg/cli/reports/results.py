"""Reports as tables for people; CSV and JSON hold the numbers in full precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from mriseg.cli.render import say
from mriseg.cli.reports.table import number, table, volume
from mriseg.console.stage import clock
from mriseg.core.wording import counted

if TYPE_CHECKING:
    # For the types alone: they would load torch before the help is shown.
    from mriseg.recipes.compare import CompareReport
    from mriseg.recipes.cross_validate import CrossReport
    from mriseg.recipes.demo import DemoReport
    from mriseg.recipes.forecast import ForecastReport
    from mriseg.recipes.improve import ImproveReport
    from mriseg.recipes.predict import CasePrediction, PredictReport
    from mriseg.recipes.preprocess import PreprocessReport
    from mriseg.recipes.scores import EvaluateReport
    from mriseg.recipes.train import TrainReport
    from mriseg.recipes.verify import VerifyReport


def preprocessed(console: Console, report: PreprocessReport) -> None:
    """One row per case that was skipped or has a notice, and the number of cases of each kind."""
    rows = [
        (case.case, case.status, case.reason or "; ".join(case.notices))
        for case in report.cases
        if case.reason or case.notices
    ]
    if rows:
        table(console, ("case", "status", "notes"), rows)
    count = dict.fromkeys(("written", "kept", "skipped", "refused"), 0)
    for case in report.cases:
        count[case.status] += 1
    kinds = ", ".join(f"{number} {kind}" for kind, number in count.items() if number)
    labelled = sum(case.labelled for case in report.cases)
    total = counted(len(report.cases), "case")
    say(console, f"{report.store}: {total} ({kinds}), {labelled} labelled")


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
        return f"no validation; the weights are those of epoch {report.best_epoch}"
    return f"best Dice {report.best:.4f} at epoch {report.best_epoch}"


def compared(console: Console, report: CompareReport) -> None:
    """One row per size and method with its difference to the baseline; a verdict per size."""
    contrasts = report.comparison.contrasts
    baseline = report.comparison.cells[0].method
    against = {(c.size, c.method): c for c in contrasts if c.against == baseline}
    rows = []
    for cell in report.comparison.cells:
        contrast = against.get((cell.size, cell.method))
        gain = contrast.difference if contrast else None
        rows.append(
            (
                str(cell.patients),
                cell.method,
                number(cell.dice.mean),
                _interval(cell.dice.low, cell.dice.high),
                f"{cell.seconds / 60:.1f}",
                f"{gain.mean:+.3f}" if gain else "",
                _interval(gain.low, gain.high) if gain else "",
                f"{contrast.corrected:.2g}" if contrast else "",
            )
        )
    table(
        console,
        ("patients", "method", "Dice", "95 % interval", "minutes")
        + (f"vs {baseline}", "95 % interval", "p"),
        rows,
        text=2,
    )
    held = max(cell.dice.patients for cell in report.comparison.cells)
    say(console, f"{counted(held, 'patient')} held out; p is corrected for the number of methods")
    for contrast in contrasts:
        if contrast.against != baseline:
            both = f"{contrast.method} against {contrast.against}, {contrast.size} patients"
            say(console, f"{both}: {contrast.verdict}")
    for size, verdict in report.comparison.verdicts.items():
        say(console, f"{size} patients: {verdict}", "bold")
    say(console, f"comparison: {report.path}")


def forecasted(console: Console, report: ForecastReport) -> None:
    """One row per size, then what more cases would be worth."""
    rows = [
        (
            f"{point.patients:.0f}",
            number(point.dice.mean),
            _interval(point.dice.low, point.dice.high),
            str(point.dice.patients),
            str(point.trainings),
        )
        for point in report.forecast.points
    ]
    table(console, ("patients", "Dice", "95 % interval", "held out", "trainings"), rows, text=0)
    say(console, report.forecast.sentence, "bold")
    say(console, f"forecast: {report.path}")


def cross_validated(console: Console, report: CrossReport) -> None:
    """One row per group, subset of modalities and region."""
    measured = report.measured
    table(
        console,
        ("patients of", "modalities", "region", "patients", "Dice", "95 % interval", "median"),
        [
            (
                row.group or "all",
                *(row.subset, row.region, str(row.patients), number(row.mean)),
                *(_interval(row.low, row.high), number(row.median)),
            )
            for row in measured.figures
            if row.metric == "dice"
        ],
        text=3,
    )
    count = counted(sum(measured.parts.values()), "patient")
    say(console, f"{count}, each by a run that never saw them, with a threshold of the others")
    say(console, f"cross-validation: {report.path}")
    if report.calibration is not None:
        # In one line, to be copied.
        again = f"mriseg train STORE --validation 0 --calibration {report.path}"
        say(console, f"train on all patients with its calibration: {again}")


def improved(console: Console, report: ImproveReport) -> None:
    """Both models on each patient that was kept aside, and the verdict."""
    rows = [
        (pair.patient, number(pair.old), number(pair.new), f"{pair.new - pair.old:+.3f}")
        for pair in report.scores
    ]
    table(console, ("patient kept aside", "Dice, old", "Dice, new", "change"), rows)
    say(console, report.verdict, "bold")
    say(console, f"new model: {report.new}")
    say(console, f"look at it: {report.page}")


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def predicted(console: Console, report: PredictReport) -> None:
    """One row per case, those first that need a look: its volumes, how sure they are, its flags."""
    from mriseg.core.volume import volume_unit  # late: it loads NumPy

    if not report.results:
        return
    first, *_ = cases = report.by_urgency
    regions = list(first.volumes)
    units = " or ".join(dict.fromkeys(volume_unit(case.unit) for case in cases))
    columns, optional = ["case"], []
    for region in regions:
        dice, span = f"predicted Dice {region}", f"range {region} ({units})"
        columns += [f"{region} ({units})", span, dice]
        optional += [span, dice]
    columns += ["flags", "mask"]
    rows = [
        (
            case.case,
            *(cell for region in regions for cell in _sure(case, region)),
            "; ".join(case.flags),
            f"{case.mask}{' (kept)' * case.kept}",
        )
        for case in cases
    ]
    # What no case has needs no column.
    shown = [0, *(i for i in range(1, len(columns)) if any(row[i].strip("-") for row in rows))]
    table(
        console,
        [columns[i] for i in shown],
        [[row[i] for i in shown] for row in rows],
        optional=[name for name in optional if columns.index(name) in shown],
    )
    if len(cases) > 1 and report.urgent:
        say(console, f"look at these first: {', '.join(report.urgent)}", "bold")


def _sure(case: CasePrediction, region: str) -> tuple[str, str, str]:
    """A region's volume, its range and its predicted Dice."""
    sure = case.certainty.get(region)
    span = "-"
    if sure is not None and sure.covers is not None:
        low, high = (volume(v, case.unit) for v in (sure.volume_low, sure.volume_high))
        span = f"{low} to {high}"
    dice = number(sure.dice, 2) if sure is not None and sure.dice is not None else "-"
    return volume(case.volumes[region], case.unit), span, dice


def evaluated(console: Console, report: EvaluateReport) -> None:
    """One row per case and region, then each metric's mean, interval and median."""
    from mriseg.core.volume import volume_unit  # late: it loads NumPy

    units = " or ".join(dict.fromkeys(score.unit for score in report.scores))
    volumes = " or ".join(dict.fromkeys(volume_unit(score.unit) for score in report.scores))
    left_out = table(
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
                *(volume(v, score.unit) for v in (score.volume_pred, score.volume_truth)),
            )
            for score in report.scores
        ],
        text=2,
        optional=("IoU", f"ASSD ({units})", "precision", "sensitivity", "true volume"),
    )
    if left_out:
        say(console, f"not shown in this width: {', '.join(left_out)}; --csv FILE has them")
    if any(score.case in report.seen for score in report.scores):
        say(console, "* the model was trained on this case: its score says nothing about new cases")
    names = {
        **{"dice": "Dice", "iou": "IoU", "hd95": f"HD95 ({units})", "assd": f"ASSD ({units})"},
        **{"nsd": f"NSD at {report.tolerance:g} {units}", "lesion_f1": "lesion F1"},
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


def shown(console: Console, report: DemoReport) -> None:
    """The demo's numbers and its picture."""
    evaluated(console, report.scores)
    say(console, f"trained in {clock(report.train.seconds)}: {_best(report.train)}")
    say(console, f"transferred to FLAIR alone: {_best(report.transfer)}")
    say(console, f"exported: {report.export.path}")
    say(console, f"mask:     {report.mask}")
    say(console, f"picture:  {report.picture}")
    say(
        console,
        f"Done in {clock(report.seconds)}. This shows that mriseg works here, not how well it "
        f"segments: of three patients, one chose the best epoch and was also evaluated.",
    )
    say(console, f"look at it: {report.page}", "bold")


def verified(console: Console, report: VerifyReport) -> None:
    """One row per problem, and how much was checked."""
    if report.faults:
        table(
            console,
            ("case", "file", "slices", "problem"),
            [
                (fault.case, fault.file, _slices(fault.slices), fault.what)
                for fault in report.faults
            ],
        )
    table(console, ("checked", "count"), [(k, str(v)) for k, v in report.checked.items()])
    faults = counted(len(report.faults), "problem") if report.faults else "nothing is wrong"
    say(console, f"{report.path}: {report.kind}, format {report.version}: {faults}")


def _slices(numbers: Sequence[int]) -> str:
    """The first few."""
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
