"""Options that several commands share, and the settings of a training among them.

Every option of a training is None unless given: `mriseg.core.config.TrainConfig` alone says what
holds then, and the help quotes it. A parameter with the name of a setting is that setting.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mriseg.core.config import DEFAULT_EPOCHS, DEFAULT_MODALITIES, TrainConfig
from mriseg.errors import ConfigError

_TRAINING = "Training"
_COMPUTING = "Computing"


def _setting(name: str, text: str, metavar: str, default: str | None = None) -> Any:
    """The option for a field of `TrainConfig`; ``default`` says it in words where None would."""
    value = TrainConfig.model_fields[name].default
    return typer.Option(
        option_name(name),
        help=f"{text} (default: {default or value})",
        metavar=metavar,
        rich_help_panel=_TRAINING,
    )


def option_name(name: str) -> str:
    """``batch_size`` -> ``--batch-size``."""
    return f"--{name.replace('_', '-')}"


Modalities = Annotated[
    str | None,
    _setting(
        "modalities",
        "The network's input channels, any subset, in any spelling: t1n, T1CE, flair.",
        "T1,T2,FLAIR",
        f"{','.join(DEFAULT_MODALITIES)}, or all that the store has where it lacks one of these",
    ),
]
TrainRegions = Annotated[
    str | None,
    _setting("regions", "What to mark: names of the store's regions.", "WT,TC", "all of them"),
]
Epochs = Annotated[
    int | None,
    _setting("epochs", "How many epochs.", "N", f"{DEFAULT_EPOCHS}, unless there is a budget"),
]
Budget = Annotated[
    str | None,
    _setting(
        "budget",
        "Train for this long instead: 90s, 30m, 1h30m; a number is minutes.",
        "TIME",
        "none",
    ),
]
BatchSize = Annotated[int | None, _setting("batch_size", "Slices in a step.", "N")]
Seed = Annotated[int | None, _setting("seed", "Of the split, the weights and all draws.", "N")]
Width = Annotated[
    int | None,
    _setting("width", "Channels of the first block, a multiple of 8; fewer are faster.", "N"),
]
LossName = Annotated[
    str | None,
    _setting("loss", "bce, dice, focal, tversky, or a sum such as 0.5*bce+dice.", "LOSS"),
]
PosWeight = Annotated[
    str | None,
    _setting("pos_weight", "How much a foreground voxel weighs in bce; a number or auto.", "W"),
]
LearningRate = Annotated[
    float | None, _setting("learning_rate", "The highest of its schedule.", "RATE")
]
EncoderWeights = Annotated[
    str | None,
    _setting(
        "encoder_weights",
        "Start the encoder from a VGG16-BN: a .pth or .safetensors file, or imagenet to download "
        "torchvision's.",
        "FILE|imagenet",
        "at random",
    ),
]
Size = Annotated[
    str | None,
    _setting(
        "size",
        "Largest height and width of a training slice, multiples of 32.",
        "HxW",
        "as large as the largest slice",
    ),
]
Validation = Annotated[
    float | None, _setting("validation", "The share of the patients that validates.", "SHARE")
]
ValidationCases = Annotated[
    str | None,
    _setting("validation_cases", "The cases that validate, by name, instead.", "A,B", "a share"),
]
Exclude = Annotated[
    str | None,
    _setting("exclude", "Cases to leave out, so that they can be measured later.", "A,B", "none"),
]
ValidateEvery = Annotated[
    int | None,
    _setting("validate_every", "Validate after every so many epochs, and after the last.", "N"),
]
Patience = Annotated[
    int | None,
    _setting("patience", "Stop after this many validations without a better Dice.", "N"),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="A TOML file of these settings, by their names in TrainConfig; options go over it.",
        metavar="FILE",
        rich_help_panel=_TRAINING,
    ),
]

BackendName = Annotated[
    str,
    typer.Option("--backend", help="auto, cuda, mps or cpu.", rich_help_panel=_COMPUTING),
]
Precision = Annotated[
    str,
    typer.Option("--precision", help="auto, fp32, tf32, bf16 or fp16.", rich_help_panel=_COMPUTING),
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="Same input, same bits, at the price of speed.",
        rich_help_panel=_COMPUTING,
    ),
]

Compile = Annotated[
    str,
    typer.Option(
        "--compile",
        help="torch.compile: auto (tried in long trainings, kept where faster), always or never.",
        rich_help_panel=_COMPUTING,
    ),
]

StoreArgument = Annotated[
    str | None,
    typer.Argument(metavar="STORE", help="The store; without, the only one in this folder."),
]
Model = Annotated[
    Path | None,
    typer.Option("--model", help="The run; without, the newest under runs/.", metavar="RUN"),
]
RunFolder = Annotated[
    Path | None,
    typer.Option("--out", help="The run's folder; without, a new one under runs/.", metavar="DIR"),
]
Layout = Annotated[
    str, typer.Option("--layout", help="auto, brats, flat, lgg or nnunet.", metavar="LAYOUT")
]
Channels = Annotated[
    str | None,
    typer.Option(
        "--channels",
        help="Names of the channels in order, where the files do not say them.",
        metavar="T1,FLAIR",
    ),
]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write all of it as JSON; - is stdout.", metavar="FILE|-"),
]
Cases = Annotated[str | None, typer.Option("--cases", help="Only these, by name.", metavar="A,B")]
Flips = Annotated[
    bool, typer.Option("--flips", help="Average over the four mirrorings of each slice.")
]
MinVolume = Annotated[
    float,
    typer.Option(
        "--min-volume",
        help="Remove smaller components; mL, or voxels where the scan states no voxel size.",
        metavar="ML",
        min=0.0,
    ),
]
Threshold = Annotated[
    float,
    typer.Option("--threshold", help="Mark above this probability.", min=0.0, max=1.0),
]


def given_settings(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training among a command's parameters, those that were given."""
    fields = TrainConfig.model_fields
    return {k: v for k, v in parameters.items() if k in fields and v is not None}


def read_settings(path: Path | None) -> dict[str, Any]:
    """The settings in a TOML file; {} without one.

    Raises:
        ConfigError: it cannot be read, is no TOML, or holds what is no setting.
    """
    if path is None:
        return {}
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"--config {path} is no TOML: {error}") from None
    # A file that is wrong in itself is told by its name, whatever options go over it.
    from mriseg.recipes.settings import training_config

    try:
        training_config(settings)
    except ConfigError as error:
        raise ConfigError(f"--config {path}: {error}") from None
    return settings
