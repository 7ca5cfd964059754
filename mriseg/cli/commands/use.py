"""Use a model: predict, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mriseg.cli import options, render
from mriseg.cli.bundles import Bundle, bundled
from mriseg.cli.commands import common
from mriseg.cli.preparing import preparing
from mriseg.cli.reports import results
from mriseg.cli.settings import option_name
from mriseg.core.parts import Part
from mriseg.errors import ConfigError

if TYPE_CHECKING:
    from mriseg.recipes.scores import EvaluateReport


_Input = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Folder of one case, folder of cases, NIfTI file, or store.",
    ),
]
_MasksOut = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="Folder for the masks; for a single case also a .nii.gz file."
    ),
]
_Probabilities = Annotated[
    bool,
    options.option("--probabilities", "Also write probability maps, one file per region."),
]
_Overlays = Annotated[
    bool,
    options.option("--overlays/--no-overlays", "Draw a picture beside each mask. (default: on)"),
]
_DicomSeg = Annotated[
    bool,
    options.option(
        "--dicom-seg",
        "Also write each mask as DICOM-SEG, for scans that are DICOM; with --probabilities "
        "these too.",
    ),
]
_AllowMissing = Annotated[
    bool,
    options.option(
        "--allow-missing",
        "Also segment cases that lack a modality, although no training case lacked one.",
    ),
]
_Overwrite = Annotated[
    bool,
    options.option(
        "--overwrite",
        "Also write over masks that something else made, or that were edited. (default: skip "
        "these cases)",
    ),
]


_EverySeries = Annotated[
    bool,
    options.option(
        "--every-series",
        "Also write each mask on the grid of each scan of its session, as NAME_on_series_T1.nii.gz "
        "and so on.",
    ),
]
_Part = Annotated[
    str | None,
    options.option(
        "--part",
        "Only one part of the cases, such as the third of ten; jobs of a cluster that each take "
        "another part may write into one folder.",
        "3/10",
    ),
]


@bundled(
    preparation=preparing(*["as in training"] * 3),
    segmenting=options.SEGMENTING,
    computing=options.without(options.COMPUTING, "compiling"),
    work=options.WORKING,
)
def predict(
    *,
    source: _Input,
    out: _MasksOut,
    model: options.Model = None,
    modalities: options.OnlyModalities = None,
    cases: options.Cases = None,
    part: _Part = None,
    layout: options.Layout = "auto",
    channels: options.Channels = None,
    probabilities: _Probabilities = False,
    overlays: _Overlays = True,
    dicom_seg: _DicomSeg = False,
    allow_missing: _AllowMissing = False,
    overwrite: _Overwrite = False,
    every_series: _EverySeries = False,
    preparation: Bundle,
    segmenting: Bundle,
    computing: Bundle,
    work: Bundle,
) -> None:
    """Segment scans: write a mask for each, on the scan's own grid.

    If it is stopped, the same command continues with the remaining cases.

    Example: mriseg predict scans/ masks/ --model base
    """
    from mriseg import api

    with render.drawing() as draw:
        report = api.predict(
            source,
            out,
            common.run_or_newest(draw, model),
            common.predict_options(
                modalities,
                probabilities=probabilities,
                overlays=overlays,
                dicom_seg=dicom_seg,
                allow_missing=allow_missing,
                overwrite=overwrite,
                every_series=every_series,
                **preparation,
                **segmenting,
            ),
            layout=layout,
            channels=channels,
            cases=_wanted(cases, part),
            backend=common.computing_for(draw, work, computing),
            **work,
            on_event=draw,
        )
    results.predicted(render.results(), report)
    common.check_complete(report.skipped, len(report.results))


def _wanted(cases: str | None, part: str | None) -> str | Part | None:
    if part is None:
        return cases
    if cases is not None:
        raise ConfigError("--cases and --part both choose cases; give one of them")
    return Part.parse(part)


_TablesOut = Annotated[
    Path | None,
    options.option(
        "--out",
        "Folder for cases.csv, summary.csv, evaluation.json and pictures.",
        "DIR",
    ),
]
_Csv = Annotated[Path | None, options.option("--csv", "Write the table of cases as CSV.", "FILE")]
_JsonFile = Annotated[
    Path | None, options.option("--json", "Write the full report as JSON.", "FILE")
]
_Pictures = Annotated[
    bool,
    options.option("--pictures/--no-pictures", "Draw pictures into --out. (default: on)"),
]
_IncludeSeen = Annotated[
    bool,
    options.option("--include-seen", "Also evaluate cases that the model was trained on."),
]
_Masks = Annotated[
    Path | None,
    options.option(
        "--masks", "Evaluate these mask files instead of a model.", "DIR", panel="Mask files"
    ),
]
_Truths = Annotated[
    Path | None,
    options.option(
        "--truths",
        "Reference masks to compare --masks with: a folder, or a table of cases.",
        "DIR",
        panel="Mask files",
    ),
]
_MaskRegions = Annotated[
    str | None,
    options.option(
        "--regions",
        "Regions: BraTS's names, or name=label+label in the files' own numbers on both sides. "
        "(default: all labels but 0)",
        "WT,ET|WT=1+2+4",
        panel="Mask files",
    ),
]
_Tolerance = Annotated[
    float | None,
    options.option(
        "--tolerance",
        "Distance within which surfaces agree, for the normalised surface Dice. (default: 2)",
        "MM",
        panel="Mask files",
    ),
]


@bundled(
    segmenting=options.SEGMENTING,
    computing=options.without(options.COMPUTING, "compiling"),
    work=options.WORKING,
)
def evaluate(
    *,
    store: options.StoreArgument = None,
    model: options.Model = None,
    modalities: options.OnlyModalities = None,
    cases: options.Cases = None,
    out: _TablesOut = None,
    csv: _Csv = None,
    json: _JsonFile = None,
    pictures: _Pictures = True,
    include_seen: _IncludeSeen = False,
    masks: _Masks = None,
    truths: _Truths = None,
    regions: _MaskRegions = None,
    tolerance: _Tolerance = None,
    segmenting: Bundle,
    computing: Bundle,
    work: Bundle,
) -> None:
    """Measure segmentations case by case: a model on a store, or mask files.

    Example: mriseg evaluate out.zarr --out evaluation/
    """
    from mriseg import api
    from mriseg.io.disk.space import check_writable

    for file in filter(None, (csv, json)):
        check_writable(file.parent)
    of_files = masks is not None or truths is not None
    with render.drawing() as draw:
        if of_files:
            defaults = {name: default for name, (_, default) in options.SEGMENTING.items()}
            named: dict[str, Any] = {"STORE": store, "--model": model, "--cases": cases}
            named |= {"--modalities": modalities, "--include-seen": include_seen or None}
            named |= {option_name(name): value for name, value in work.items()}
            named |= {
                option_name(f"no_{name}" if value is False else name): value
                for name, value in segmenting.items()
                if value != defaults[name]
            }
            how: dict[str, Any] = {"regions": regions, "out": out, "pictures": pictures}
            how |= {} if tolerance is None else {"tolerance": tolerance}
            report = _evaluate_files(draw, masks, truths, how, named)
        else:
            if regions is not None:
                raise ConfigError("--regions goes with --masks: a model has regions of its own")
            if tolerance is not None:
                raise ConfigError("--tolerance goes with --masks; a model is measured at 2 mm")
            report = api.evaluate(
                common.store_or_only(draw, store),
                common.run_or_newest(draw, model),
                common.predict_options(modalities, **segmenting),
                include_seen=include_seen,
                cases=cases,
                out=out,
                pictures=pictures,
                backend=common.computing_for(draw, work, computing),
                **work,
                on_event=draw,
            )
    _write_tables(report, csv, json)
    results.evaluated(render.results(), report)
    common.check_complete(report.skipped, len({score.case for score in report.scores}))


def _evaluate_files(
    draw: common.Draw,
    masks: Path | None,
    truths: Path | None,
    how: dict[str, Any],
    named: dict[str, Any],
) -> EvaluateReport:
    """Evaluate mask files ``how`` it was asked for; what only a model heeds is not ``named``."""
    from mriseg import api

    if masks is None or truths is None:
        raise ConfigError("--masks and --truths go together: give both")
    given = [name for name, value in named.items() if value is not None]
    if given:
        raise ConfigError(f"--masks evaluates files as they are: leave out {', '.join(given)}")
    return api.evaluate_masks(masks, truths, on_event=draw, **how)


def _write_tables(report: EvaluateReport, csv: Path | None, json: Path | None) -> None:
    from mriseg.io.disk.documents import write_csv, write_json

    data = report.to_json()
    if csv is not None:
        write_csv(csv, data["cases"])
    if json is not None:
        write_json(json, data)
