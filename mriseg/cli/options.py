"""Options and arguments that several commands share.

The settings of a training are not among them: `mriseg.cli.settings` makes those.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mriseg.cli.bundles import Options
from mriseg.errors import ConfigError

_SEGMENTATION, _COMPARISON, _COMPUTING = "Segmentation", "Comparison", "Computing"
_PATIENTS = "Patients and folds"


def option(
    name: str, text: str, metavar: str | None = None, *, panel: str | None = None, **bounds: Any
) -> Any:
    """An option whose help says the default in words, where there is one to say."""
    return typer.Option(
        name, help=text, metavar=metavar, show_default=False, rich_help_panel=panel, **bounds
    )


ConfigFile = Annotated[
    Path | None,
    option(
        "--config",
        "TOML file of these and further settings; options take precedence.",
        "FILE",
    ),
]
RunFolder = Annotated[
    Path | None,
    option("--out", "Folder for the run. (default: a new one under runs/)", "DIR"),
]

Compare = Annotated[
    bool,
    option(
        "--compare",
        "Measure whether the transfer helps: train from scratch and in several ways from RUN on "
        "the same patients (methods x sizes x folds x seeds trainings, each of --epochs or "
        "--budget). If stopped, repeat the command with the same --out to continue.",
        panel=_COMPARISON,
    ),
]
_Methods = Annotated[
    str | None,
    option(
        "--methods",
        "Methods to compare with scratch: frozen-random, frozen-encoder, lp-ft, full, encoder, "
        "encoder-lp-ft, encoder-frozen, head, first-block, gradual, layer-decay, l2-sp, "
        "adapt-norm. (default: the first four)",
        "A,B",
        panel=_COMPARISON,
    ),
]
_Sizes = Annotated[
    str | None,
    option(
        "--sizes",
        "Numbers of training patients; all = as many as a fold leaves. (default: 5,10,20,all, as "
        "far as they fit)",
        "5,10,all",
        panel=_PATIENTS,
    ),
]
_Folds = Annotated[
    int | None,
    option("--folds", "Number of cross-validation folds. (default: 5)", "N", panel=_PATIENTS),
]
_Rounds = Annotated[
    int | None,
    option(
        "--rounds",
        "Hold out only N of the folds; 1 is enough with many patients. (default: all)",
        "N",
        panel=_PATIENTS,
    ),
]
_Seeds = Annotated[
    int | None,
    option(
        "--seeds",
        "Repeat everything with N random seeds, counted from --seed. (default: 1)",
        "N",
        panel=_PATIENTS,
    ),
]

COMPARING: Options = {
    "methods": (_Methods, None),
    "sizes": (_Sizes, None),
    "folds": (_Folds, None),
    "rounds": (_Rounds, None),
    "seeds": (_Seeds, None),
}

_BackendName = Annotated[
    str,
    option(
        "--backend",
        "Where to compute: auto, cuda, mps or cpu. (default: auto)",
        "NAME",
        panel=_COMPUTING,
    ),
]
_Precision = Annotated[
    str,
    option(
        "--precision",
        "Number format: auto, fp32, tf32, bf16 or fp16. (default: auto)",
        "NAME",
        panel=_COMPUTING,
    ),
]
_Deterministic = Annotated[
    bool,
    option(
        "--deterministic",
        "Give bit-identical results for identical input; slower.",
        panel=_COMPUTING,
    ),
]
_Compile = Annotated[
    str,
    option(
        "--compile",
        "torch.compile: auto (tried in long trainings, kept if faster), always or never. "
        "(default: auto)",
        "WHEN",
        panel=_COMPUTING,
    ),
]

COMPUTING: Options = {
    "backend": (_BackendName, "auto"),
    "precision": (_Precision, "auto"),
    "deterministic": (_Deterministic, False),
    "compiling": (_Compile, "auto"),
}

# Texts, not paths: a store may be at a URL.
StoreArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="STORE",
        help="Store to read, a folder or a URL. (default: the only one in this folder)",
    ),
]
# Texts, not paths: "base" is a shipped model, and "./base" a folder.
Model = Annotated[
    str | None,
    option(
        "--model",
        "Model to use: a run, or base, which ships with mriseg. (default: the newest run under "
        "runs/)",
        "RUN",
    ),
]
Source = Annotated[
    str | None,
    option(
        "--from",
        "Run to start from, or base, which ships with mriseg. (default: the newest under runs/)",
        "RUN",
    ),
]
Layout = Annotated[
    str,
    option(
        "--layout",
        "Layout of the scans: auto, brats, dicom, flat, h5, lgg, nnunet or table. (default: auto)",
        "LAYOUT",
    ),
]
Channels = Annotated[
    str | None,
    option(
        "--channels",
        "Names of the channels, in order, if the files do not name them.",
        "T1,FLAIR",
    ),
]
Scans = Annotated[
    Path, typer.Argument(metavar="SRC", help="Folder of scans, or table of cases (CSV).")
]
LabelFolder = Annotated[
    Path | None,
    option(
        "--labels",
        "Folder of segmentations named as the cases are, in place of those among the scans.",
        "DIR",
    ),
]
Regions = Annotated[
    str | None,
    option(
        "--regions",
        "Regions to segment: names that the layout knows, or name=label+label with the files' own "
        "labels. (default: the whole tumour, or all labels)",
        "WT,TC,ET",
    ),
]
Workers = Annotated[
    int | None,
    option("--workers", "Number of processes. (default: one per core, at most 8)", "N", min=1),
]


def _who(default: str, **panel: str) -> Any:
    text = (
        "Who does the cases: processes, dask:tcp://HOST:8786 (or dask:FILE, which the scheduler "
        f"wrote), or slurm:partition=NAME,time=MINUTES. (default: {default})"
    )
    return Annotated[str | None, option("--executor", text, "NAME[:ADDRESS]", **panel)]


Executor = _who("processes")
_MANY = "Number of processes, or of jobs of SLURM. (default: one process)"
_HowMany = Annotated[int | None, option("--workers", _MANY, "N", panel=_COMPUTING, min=1)]

WORKING: Options = {
    "executor": (_who("this process, one by one", panel=_COMPUTING), None),
    "workers": (_HowMany, None),
}

Json = Annotated[
    str | None,
    option("--json", "Write the full report as JSON; - writes it to stdout.", "FILE|-"),
]
Cases = Annotated[str | None, option("--cases", "Only these cases, by name.", "A,B")]
OnlyModalities = Annotated[
    str | None,
    option(
        "--modalities",
        "Use only these modalities of each scan, in any spelling. (default: all that the model "
        "reads)",
        "T1,FLAIR",
    ),
]

Width = Annotated[
    int, option("--width", "Width of the network (channels of the first block). (default: 64)", "N")
]
BatchSize = Annotated[int, option("--batch-size", "Slices per step. (default: 10)", "N")]

_Flips = Annotated[
    bool,
    option(
        "--flips/--no-flips",
        "Test-time augmentation: average over mirrored copies of each slice. (default: on)",
        panel=_SEGMENTATION,
    ),
]
_Adapt = Annotated[
    bool,
    option(
        "--adapt/--no-adapt",
        "Batch-norm adaptation: move the encoder's statistics halfway to those of each scan. "
        "(default: on)",
        panel=_SEGMENTATION,
    ),
]
_Refine = Annotated[
    bool,
    option(
        "--refine/--no-refine",
        "Refine each mask by the scan's own intensities and by neighbouring slices. (default: on)",
        panel=_SEGMENTATION,
    ),
]
_MinVolume = Annotated[
    float,
    option(
        "--min-volume",
        "Minimum component size in mL (in voxels if the scan states no voxel size); smaller "
        "components are removed. (default: 0)",
        "ML",
        panel=_SEGMENTATION,
        min=0.0,
    ),
]
_MinComponentShare = Annotated[
    float | None,
    option(
        "--min-component-share",
        "Minimum component size as a share of the largest component; 0 keeps all. (default: as "
        "calibrated in training)",
        "SHARE",
        panel=_SEGMENTATION,
        min=0.0,
        max=1.0,
    ),
]
_Threshold = Annotated[
    float | None,
    option(
        "--threshold",
        "Segment voxels above this probability. (default: as calibrated in training)",
        "P",
        panel=_SEGMENTATION,
        min=0.0,
        max=1.0,
    ),
]

SEGMENTING: Options = {
    "flips": (_Flips, True),
    "adapt": (_Adapt, True),
    "refine": (_Refine, True),
    "min_volume": (_MinVolume, 0.0),
    "min_component_share": (_MinComponentShare, None),
    "threshold": (_Threshold, None),
}


def without(options: Options, *names: str) -> Options:
    """A bundle but for some of its options."""
    return {name: item for name, item in options.items() if name not in names}


def labelled(given: Sequence[str]) -> dict[str, str]:
    """["TEXT=FILE", "FILE"] -> {"TEXT": "FILE", "": "FILE"}.

    Raises:
        ConfigError: a text comes twice, or no file is named.
    """
    labels: dict[str, str] = {}
    for item in given:
        text, _, file = item.rpartition("=")
        if not file or text in labels:
            raise ConfigError(
                f"--evaluation {item}: expected a text of its own and a file, as in FLAIR=FILE"
            )
        labels[text] = file
    return labels
