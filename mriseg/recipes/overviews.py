"""What the report of each command shows of itself, in a notebook or a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mriseg.core import heads
from mriseg.core.modalities import SEGMENTATION
from mriseg.core.volume import volume_unit
from mriseg.core.wording import counted, duration
from mriseg.overview.values import PAGE, Column, Overview, cell

if TYPE_CHECKING:
    # For the types alone: each report imports this module.
    from mriseg.recipes.compare import CompareReport
    from mriseg.recipes.demo import DemoReport
    from mriseg.recipes.export import ExportReport
    from mriseg.recipes.export_int8 import Int8Report
    from mriseg.recipes.fit import TrainReport
    from mriseg.recipes.forecast import ForecastReport
    from mriseg.recipes.improve import ImproveReport
    from mriseg.recipes.info_runs import RunInfo, RunsInfo
    from mriseg.recipes.inspect import InspectReport
    from mriseg.recipes.predict import CasePrediction, PredictReport
    from mriseg.recipes.preprocess import PreprocessReport
    from mriseg.recipes.scores import EvaluateReport
    from mriseg.recipes.share import ShareReport
    from mriseg.recipes.transfer import TransferReport
    from mriseg.recipes.verify import VerifyReport


def inspected(report: InspectReport) -> Overview:
    """The cases of a folder, and how many files are in none."""
    labelled = sum(SEGMENTATION in case.files for case in report.cases)
    return Overview(
        title=f"{report.source}: {counted(len(report.cases), 'case')} in layout {report.layout}, "
        f"{labelled} with a segmentation, {len(report.refused)} refused; "
        f"{counted(len(report.unused), 'file')} not used",
        records=[asdict(case) for case in report.cases],
        columns=columns("case", "patient", "visit", "shape", "spacing", "orientation", "problem"),
        notes=report.notices,
    )


def preprocessed(report: PreprocessReport) -> Overview:
    """What became of each case."""
    kinds = Counter(case.status for case in report.cases)
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    labelled = sum(case.labelled for case in report.cases)
    return Overview(
        title=f"store {report.store}: {counted(len(report.cases), 'case')} ({shown}), "
        f"{labelled} labelled",
        facts=(("layout", report.layout),),
        records=[asdict(case) for case in report.cases],
        columns=columns("case", "patient", "status", "modalities", "shape", "reason"),
        notes=report.notices,
        page=report.page,
    )


def trained(report: TrainReport) -> Overview:
    """The best validation, case by case."""
    if report.best is None:
        best = "no validation"
    else:
        best = f"best Dice {report.best:.4f} at epoch {report.best_epoch}"
    regions = list(next(iter(report.dice.values()), {}))
    return Overview(
        title=f"run {report.run}: {best} of {report.epochs}, in {duration(report.seconds)}",
        facts=(("ended", report.reason),),
        records=[{"case": case, **scores} for case, scores in report.dice.items()],
        columns=(
            Column("case", "validation case"),
            *(Column(name, f"Dice {name}") for name in regions),
        ),
        pictures=(report.run / "curves.png", *sorted(report.run.glob("images/*.png"))[-1:]),
        page=report.page,
    )


def transferred(report: TransferReport) -> Overview:
    """As of a training, and what was carried over."""
    count = report.plan.count
    carried = f"{count('kept')} kept, {count('adapted')} adapted, {count('new')} new"
    shown = trained(report)
    return Overview(**{**shown.__dict__, "facts": (*shown.facts, ("tensors", carried))})


def compared(report: CompareReport) -> Overview:
    """One row per size and method; the verdicts."""
    verdicts = report.comparison.verdicts
    return Overview(
        title=f"comparison {report.path}: "
        + "; ".join(f"{size} patients: {verdict}" for size, verdict in verdicts.items()),
        records=[
            {
                "size": each.size,
                "patients": each.patients,
                "method": each.method,
                "dice": each.dice.mean,
                "low": each.dice.low,
                "high": each.dice.high,
                "seconds": each.seconds,
            }
            for each in report.comparison.cells
        ],
        columns=(
            *columns("patients", "method"),
            *(Column("dice", "Dice"), Column("low", "95 % low"), Column("high", "95 % high")),
            Column("seconds", "seconds", 0),
        ),
        pictures=(report.path / "compare.png",),
        page=report.page,
    )


def forecasted(report: ForecastReport) -> Overview:
    """One row per size that was measured; what more patients would be worth."""
    outcome = report.forecast
    return Overview(
        title=f"forecast {report.path}: {outcome.sentence}",
        records=[
            {
                "patients": point.patients,
                "dice": point.dice.mean,
                "low": point.dice.low,
                "high": point.dice.high,
                "trainings": point.trainings,
            }
            for point in outcome.points
        ],
        columns=(
            Column("patients", "patients", 0),
            *(Column("dice", "Dice"), Column("low", "95 % low"), Column("high", "95 % high")),
            *columns("trainings"),
        ),
        pictures=(report.path / "forecast.png",),
        page=report.path / PAGE,
    )


def improved(report: ImproveReport) -> Overview:
    """Old and new Dice of each patient kept aside; the verdict."""
    return Overview(
        title=report.verdict,
        facts=(("old model", str(report.old)), ("new model", str(report.new))),
        records=[asdict(pair) for pair in report.scores],
        columns=columns("patient", ("old", "Dice, old"), ("new", "Dice, new")),
        page=report.page,
    )


def predicted(report: PredictReport) -> Overview:
    """The volume of each region of each mask, those first that need a look."""
    results, skipped = report.results, report.skipped
    regions = list(dict.fromkeys(region for result in results for region in result.volumes))
    sure = [r for r in regions if any(_dice_is_predicted(result, r) for result in results)]
    units = " or ".join(dict.fromkeys(volume_unit(result.unit) for result in results))
    digits = 2 if "mL" in units else 0
    empty = f"{counted(len(report.empty), 'empty mask')}: {', '.join(report.empty[:10])}"
    title = f"{counted(len(results), 'mask')}" + f", {len(skipped)} skipped" * bool(skipped)
    return Overview(
        title=f"{title}, in {report.folder}" if results else title,
        records=[
            {
                "case": result.case,
                **{f"volume_{region}": value for region, value in result.volumes.items()},
                **{f"predicted_dice_{r}": sure.dice for r, sure in result.certainty.items()},
                **{f"volume_low_{r}": sure.volume_low for r, sure in result.certainty.items()},
                **{f"volume_high_{r}": sure.volume_high for r, sure in result.certainty.items()},
                **{key: getattr(result, key) for key in _OF_A_MASK},
            }
            for result in report.by_urgency
        ],
        columns=(
            Column("case", "case"),
            *(Column(f"volume_{region}", f"{region} ({units})", digits) for region in regions),
            *(Column(f"predicted_dice_{region}", f"predicted Dice {region}", 2) for region in sure),
            *columns("modalities", "missing", "flags", "kept"),
        ),
        notes=[*([empty] if report.empty else []), *_reasons(skipped)],
        pictures=[result.picture for result in results if result.picture],
        page=report.page,
    )


_OF_A_MASK = (
    *("unit", "modalities", "missing", "unused", "flags", "kept", "trained_on", "empty", "mask"),
)


def _dice_is_predicted(result: CasePrediction, region: str) -> bool:
    return region in result.certainty and result.certainty[region].dice is not None


def evaluated(report: EvaluateReport) -> Overview:
    """The scores of each case, and their means."""
    cases = {score.case for score in report.scores}
    units = " or ".join(dict.fromkeys(score.unit for score in report.scores))
    digits = 2 if "mm" in units else 0
    means = [row for row in report.summary if row.metric == "dice"]
    seen = [case for case in report.seen if case in cases]
    trained_on = f"the model was trained on {', '.join(seen)}: no measure of new cases"
    folder = report.folder
    return Overview(
        title=f"{counted(len(cases), 'case')}: "
        + ", ".join(f"mean Dice {row.region} {cell(row.mean)}" for row in means),
        facts=[
            (f"Dice {row.region}", f"{cell(row.mean)} [{cell(row.low)}, {cell(row.high)}]")
            for row in means
            if row.cases > 1
        ],
        records=[{**asdict(score), "seen": score.case in report.seen} for score in report.scores],
        columns=(
            *(Column("case", "case"), Column("region", "region"), Column("dice", "Dice")),
            *(Column("sensitivity", "sensitivity"), Column("precision", "precision")),
            *(Column("hd95", f"HD95 ({units})", 2), Column("nsd", "NSD")),
            *(
                Column("volume_pred", "volume", digits),
                Column("volume_truth", "true volume", digits),
            ),
        ),
        notes=[
            *report.undefined(),
            *([trained_on] if seen else []),
            *_reasons(report.skipped),
        ],
        pictures=(folder / "cases.png", folder / "dice.png") if folder else (),
        page=folder / PAGE if folder else None,
    )


def verified(report: VerifyReport) -> Overview:
    """What is wrong, and how much was checked."""
    faults = counted(len(report.faults), "problem") if report.faults else "nothing is wrong"
    return Overview(
        title=f"{report.path}: {report.kind}, format {report.version}: {faults}",
        facts=[(what, str(count)) for what, count in report.checked.items()],
        records=[asdict(fault) for fault in report.faults],
        columns=columns("case", "file", "slices", ("what", "problem")),
        notes=[f"unfinished: {name}" for name in report.unfinished],
    )


def exported(report: ExportReport) -> Overview:
    """The file, and how well it agrees with the model."""
    return Overview(
        title=f"{report.path}: {report.format}, {report.size_bytes / 1e6:.1f} MB; its "
        f"probabilities differ from the model's by {report.largest_difference:.1e} at most",
        records=[asdict(report)],
    )


def quantised(report: Int8Report) -> Overview:
    """The file in integers: what it costs and what it saves."""
    ms = {name: f"{1000 * seconds:.0f} ms" for name, seconds in report.seconds.items()}
    return Overview(
        title=f"{report.path}: {report.size_bytes / 1e6:.1f} MB ({report.float_bytes / 1e6:.1f} in "
        f"float32); Dice {report.dice:.3f} (model {report.model_dice:.3f}) on {report.cases} "
        f"patients; a slice takes {ms['int8']} (float32 {ms['float']}, mriseg predict "
        f"{ms['predict']})",
        records=[asdict(report)],
    )


def shared(report: ShareReport) -> Overview:
    """The folder, and what is still to fill in."""
    return Overview(
        title=f"model {report.path}, {report.size_bytes / 1e6:.1f} MB",
        records=[asdict(report)],
        notes=[f"still to fill in, in its model card: {text}" for text in report.missing],
    )


def demonstrated(report: DemoReport) -> Overview:
    """The numbers of a demo, and its pictures."""
    scores = evaluated(report.scores)
    return Overview(
        title=f"done in {duration(report.seconds)}; of the patient held out, {scores.title}",
        facts=(
            ("trained", trained(report.train).title),
            ("transferred", trained(report.transfer).title),
            ("exported", str(report.export.path)),
            ("mask", str(report.mask)),
        ),
        records=scores.records,
        columns=scores.columns,
        notes=(
            "this shows that mriseg works here, not how well it segments: one patient chose the "
            "best epoch and was also evaluated",
        ),
        pictures=(report.picture, *scores.pictures),
        page=report.page,
    )


def of_a_run(info: RunInfo) -> Overview:
    """What a run holds."""
    dice = "not validated yet" if info.dice is None else f"best Dice {info.dice:.4f}"
    state = f"ended: {info.ended}" if info.ended else "not ended"
    return Overview(
        title=f"model {info.path}"
        if info.is_model
        else f"run {info.path}: {dice}, {counted(info.epochs, 'epoch')}, {state}",
        facts=(
            ("created", info.created),
            ("modalities", ", ".join(info.modalities)),
            ("regions", ", ".join(info.regions)),
            ("width", str(info.width)),
            ("store", info.store),
            ("cases", f"{info.train} for training, {info.validation} for validation"),
            ("heads", heads.described(info.heads)),
            ("transferred from", info.parent or ""),
            ("terms", info.card.terms if info.card else ""),
        ),
        records=[asdict(row) for row in info.card.figures] if info.card else (),
        columns=columns(("measured_on", "measured on"), "region", ("mean", "Dice"), "cases"),
        notes=info.card.caveats if info.card else (),
        pictures=(info.curves,) if info.curves else (),
        page=info.path / PAGE,
    )


def of_runs(info: RunsInfo) -> Overview:
    """The runs of a folder."""
    return Overview(
        title=f"{info.path}: {counted(len(info.runs), 'run')}",
        records=[asdict(line) for line in info.runs],
        columns=columns(("name", "run"), ("dice", "Dice"), "epochs", "store", "task", "state"),
    )


def page_in(folder: Path) -> Path | None:
    """The page in a folder, if it was written."""
    path = folder / PAGE
    return path if path.is_file() else None


def columns(*names: str | tuple[str, str]) -> tuple[Column, ...]:
    """Columns under their own names, or (key, heading)."""
    return tuple(Column(n, n) if isinstance(n, str) else Column(*n) for n in names)


def _reasons(skipped: Sequence[tuple[str, str]]) -> list[str]:
    return [f"skipped {case}: {reason}" for case, reason in skipped]
