"""Options that several commands share, and the settings of a training among them.

Every option of a training is None unless given: `mriseg.core.config.TrainConfig` alone says what
holds then, and the help quotes it. A parameter with the name of a setting is that setting.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mriseg.core.config import (
    DEFAULT_EPOCHS,
    DEFAULT_MODALITIES,
    TrainConfig,
    TransferConfig,
)
from mriseg.errors import ConfigError, reason_of
from mriseg.io.disk.untrusted import read_text

_TRAINING = "Training"
_TRANSFER = "Transfer"
_COMPARING = "Comparing"
_COMPUTING = "Computing"
# Bytes of a file of settings.
_MAX_SETTINGS = 2**16
# To read a.b.c = 1 takes the square of its parts, in time and memory.
_LONG_KEY = re.compile(r"(?<![\w-])(?:(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')\s*\.\s*){20}")


def _setting(name: str, text: str, metavar: str, default: str | None = None) -> Any:
    """The option for a field of `TrainConfig`; ``default`` says it in words where None would."""
    value = TrainConfig.model_fields[name].default
    return typer.Option(
        option_name(name),
        help=f"{text} (default: {default or value})",
        metavar=metavar,
        rich_help_panel=_TRAINING,
    )


def _policy(name: str, text: str, metavar: str | None = None) -> Any:
    """The option for a field of `TransferConfig`; that alone says what holds without."""
    value = TransferConfig.model_fields[name].default
    declared = option_name(name)
    if isinstance(value, bool):
        declared, value = f"{declared}/--no-{declared[2:]}", "on" if value else "off"
    return typer.Option(
        declared,
        help=f"{text} (default: {value})",
        metavar=metavar,
        show_default=False,
        rich_help_panel=_TRANSFER,
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

TransferPart = Annotated[
    str | None,
    _policy(
        "transfer_part",
        "What starts from the run: all, or its encoder, under a decoder and a head made anew.",
        "PART",
    ),
]
Freeze = Annotated[
    str | None,
    _policy(
        "freeze",
        "What to leave as it is: none, encoder, encoder:K (its first K of 5 blocks), all-but-head "
        "or all-but-first (for another scanner or sequence).",
        "PART",
    ),
]
Schedule = Annotated[
    str | None,
    _policy(
        "schedule",
        "In which order the rest trains: direct (at once), lp-ft (what is new first, then all) or "
        "gradual (from the head down, stage by stage).",
        "ORDER",
    ),
]
LayerDecay = Annotated[
    float | None,
    _policy(
        "layer_decay",
        "Multiply a stage's learning rate by this once for each stage that it is from the head; "
        "above 0, 1 for none.",
        "FACTOR",
    ),
]
L2SP = Annotated[
    float | None,
    _policy("l2_sp", "Draw what is carried over to its start, this strongly; 0 for not.", "W"),
]
AdaptNorm = Annotated[
    bool | None,
    _policy(
        "adapt_norm", "Estimate BatchNorm's statistics on the new slices before training begins."
    ),
]

Compare = Annotated[
    bool,
    typer.Option(
        "--compare",
        help="Measure whether a transfer helps: train from scratch and in several ways from RUN, "
        "methods x sizes x folds x seeds trainings, each of --epochs or --budget, on the same "
        "patients. Stopped, it goes on with the same options and --out.",
        rich_help_panel=_COMPARING,
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        help="Beside scratch: frozen-random, frozen-encoder, lp-ft, full, encoder, encoder-lp-ft, "
        "encoder-frozen, head, first-block, gradual, layer-decay, l2-sp, adapt-norm (default: the "
        "first four).",
        metavar="A,B",
        rich_help_panel=_COMPARING,
    ),
]
Sizes = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        help="How many patients train: numbers, and all that a fold leaves "
        "(default: 5,10,20,all, those that fit).",
        metavar="5,10,all",
        rich_help_panel=_COMPARING,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        help="Deal the patients out to so many, each held out in turn (default: 5).",
        metavar="N",
        rich_help_panel=_COMPARING,
    ),
]
Rounds = Annotated[
    int | None,
    typer.Option(
        "--rounds",
        help="Hold only so many of the folds out: one will do for many patients (default: all).",
        metavar="N",
        rich_help_panel=_COMPARING,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        help="Repeat all of it with so many seeds, from --seed on (default: 1).",
        metavar="N",
        rich_help_panel=_COMPARING,
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
# Texts, not paths: "base" is a shipped model, and "./base" a folder.
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="The run, or base, which ships with mriseg; without, the newest under runs/.",
        metavar="RUN",
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="The run to start from, or base, which ships with mriseg; without, the newest under "
        "runs/.",
        metavar="RUN",
    ),
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
OnlyModalities = Annotated[
    str | None,
    typer.Option(
        "--modalities",
        help="Use only these of each scan, in any spelling (default: all that the model reads).",
        metavar="T1,FLAIR",
    ),
]
Flips = Annotated[
    bool,
    typer.Option(
        "--flips/--no-flips",
        help="Average over each slice as it is and mirrored as it was in training.",
    ),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt/--no-adapt",
        help="Let BatchNorm's statistics follow each scan, half of the way.",
    ),
]
Refine = Annotated[
    bool,
    typer.Option(
        "--refine/--no-refine",
        help="Let each scan's own intensities, and slices side by side, have a say.",
    ),
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
MinComponentShare = Annotated[
    float | None,
    typer.Option(
        "--min-component-share",
        help="Remove components below this share of the largest one's size; 0 keeps all (default: "
        "what the run was calibrated to).",
        min=0.0,
        max=1.0,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        help="Mark above this probability (default: what the run was calibrated to).",
        min=0.0,
        max=1.0,
    ),
]


def given_settings(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training among a command's parameters, those that were given."""
    given = {name: value for name, value in parameters.items() if value is not None}
    settings = {k: v for k, v in given.items() if k in TrainConfig.model_fields}
    policy = {k: v for k, v in given.items() if k in TransferConfig.model_fields}
    return settings | ({"transfer": policy} if policy else {})


def labelled(given: Sequence[str]) -> dict[str, str]:
    """["TEXT=FILE", "FILE"] -> {"TEXT": "FILE", "": "FILE"}.

    Raises:
        ConfigError: a text comes twice, or a file is not named.
    """
    found: dict[str, str] = {}
    for item in given:
        text, _, file = item.rpartition("=")
        if not file or text in found:
            raise ConfigError(
                f"--evaluation {item}: expected a text of its own and a file, as in FLAIR=FILE"
            )
        found[text] = file
    return found


def read_settings(path: Path | None) -> dict[str, Any]:
    """The settings in a TOML file; {} without one.

    Raises:
        ConfigError: it cannot be read, is no TOML, or holds what is no setting.
    """
    if path is None:
        return {}
    try:
        text = read_text(path, _MAX_SETTINGS)
        if _LONG_KEY.search(text):
            raise ValueError("a key has more than 20 parts")
        settings = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"--config {path} cannot be read: {reason_of(error)}") from None
    except ValueError as error:
        raise ConfigError(f"--config {path} is no TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"--config {path} is no TOML: it is nested too deeply") from None
    # A file that is wrong in itself is told by its name, whatever options go over it.
    from mriseg.core.train_settings import training_config

    try:
        training_config(settings)
    except ConfigError as error:
        raise ConfigError(f"--config {path}: {error}") from None
    return settings
