"""What a store, a run or a folder of runs holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from mriseg.cli.render import say
from mriseg.cli.reports.table import number, pairs, table, volume
from mriseg.core.wording import counted, pixel_size

if TYPE_CHECKING:
    # For the types alone: they would load torch before the help is shown.
    from mriseg.core.heads import Head
    from mriseg.recipes.info import StoredCase, StoreInfo
    from mriseg.recipes.info_runs import RunInfo, RunsInfo

SHOWN = 20
"""Cases of a store that are listed unless all are asked for."""


def store(console: Console, info: StoreInfo, *, every: bool = False) -> None:
    """What a store holds, and its first cases, or all."""
    pairs(
        console,
        {
            "store": info.location,
            "layout": info.layout,
            "cases": f"{info.cases} of {counted(info.patients, 'patient')}, "
            f"{info.labelled} labelled",
            "slices": str(info.slices),
            "modalities": _each(info.modalities, "case"),
            "heads": _heads([case.head for case in info.listed]),
            "regions": ", ".join(_regions(info.regions)),
            "slices containing": _each(info.foreground, "slice"),
            "labels": ", ".join(f"{value} {name}" for value, name in info.labels.items()),
        },
    )
    listed = info.listed if every else info.listed[:SHOWN]
    if listed:
        units = " or ".join(dict.fromkeys(_unit(case.unit) for case in info.listed))
        headings = ("case", "patient", "modalities", "size", "spacing")
        left_out = table(
            console,
            (*headings, *(f"{region} ({units})" for region in info.regions)),
            [_case(case, [*info.regions]) for case in listed],
            text=3,
            optional=("patient", "spacing", "size"),
        )
        if left_out:
            say(console, f"not shown in this width: {', '.join(left_out)}; --csv FILE has them")
    if len(listed) < len(info.listed):
        say(console, f"the first {len(listed)} of {len(info.listed)} cases; --all lists all")


def _case(case: StoredCase, regions: Sequence[str]) -> tuple[str, ...]:
    spacing = " x ".join(f"{length:.3g}" for length in case.spacing)
    return (
        case.name,
        case.patient,
        "+".join(case.modalities),
        "x".join(map(str, case.size)),
        spacing.replace(" ", "") + f" {case.unit}",
        *(
            volume(case.volumes[region], case.unit) if case.labelled else "unlabelled"
            for region in regions
        ),
    )


def _unit(unit: str) -> str:
    from mriseg.core.volume import volume_unit  # late: it loads NumPy

    return volume_unit(unit)


def _heads(heads: Sequence[Head]) -> str:
    from mriseg.core.heads import counted_heads, described  # late: it loads SciPy

    return described(counted_heads(heads))


def run(console: Console, info: RunInfo) -> None:
    """What a run holds, or a model without its training."""
    network = (
        f"width {info.width}: {'+'.join(info.modalities)} -> {', '.join(_regions(info.regions))}"
    )
    common = {
        "created": info.created,
        "network": network,
        "pixels": pixel_size(info.spacing) if info.spacing else "of no stated size",
        "store": info.store,
        "cases": f"{info.train} for training, {info.validation} for validation",
        "heads in training": _heads([h for h, n in info.heads.items() for _ in range(n)]),
        "transferred from": info.parent or "",
        "transfer policy": info.policy,
        "frozen": ", ".join(info.frozen),
    }
    versions = ", ".join(f"{name} {value}" for name, value in info.versions.items())
    if info.is_model:
        status = "a model to predict with or to transfer from; its training is not included"
        terms = info.card.terms if info.card else ""
        shown = {"model": str(info.path), **common, "status": status, "terms": terms}
    else:
        shown = {
            "run": str(info.path),
            **common,
            "epochs finished": str(info.epochs),
            "best Dice": "not validated yet" if info.dice is None else f"{info.dice:.4f}",
            "learning curves": str(info.curves or ""),
            "status": f"ended: {info.ended}"
            if info.ended
            else f"not ended; continue with: mriseg train --resume {info.path}",
        }
    pairs(console, {**shown, "made with": versions})
    _figures(console, info)


def _figures(console: Console, info: RunInfo) -> None:
    """How good a model is, as its card states."""
    if info.card is None or not info.is_model:
        return
    if not info.card.figures:
        say(console, "its model card states no Dice")
        return
    table(
        console,
        ("measured on", "region", "Dice [95 % interval]", "median", "cases"),
        [
            (row.measured_on, row.region, row.mean, row.median, row.cases)
            for row in info.card.figures
        ],
        text=2,
    )
    for caveat in info.card.caveats:
        say(console, caveat)
    say(console, f"all that is known of it: {info.path / 'MODEL_CARD.md'}")


def runs(console: Console, info: RunsInfo) -> None:
    """One row per run of a folder."""
    table(
        console,
        ("run", "Dice", "epochs", "store", "created", "task", "status"),
        [
            (
                line.name,
                number(line.dice),
                str(line.epochs),
                line.store,
                line.created[:16].replace("T", " "),
                line.task,
                line.state,
            )
            for line in info.runs
        ],
        optional=("epochs", "task", "created"),
    )
    say(
        console, f"{info.path}: {counted(len(info.runs), 'run')}; mriseg info RUN tells more of one"
    )


def _regions(regions: Mapping[str, Sequence[int]]) -> Iterable[str]:
    from mriseg.core.regions import described  # late: it loads NumPy

    return (f"{name} ({described(labels)})" for name, labels in regions.items())


def _each(counts: Mapping[str, int], unit: str) -> str:
    return ", ".join(f"{name} ({counted(count, unit)})" for name, count in counts.items())
