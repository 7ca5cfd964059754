"""The call of a BIDS App: mriseg bids IN OUT participant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mriseg.cli import options, render
from mriseg.cli.bundles import Bundle, bundled
from mriseg.cli.commands import common
from mriseg.cli.commands.use import AllowMissing, Overlays, Overwrite, Probabilities
from mriseg.cli.group import Command
from mriseg.cli.reports import results
from mriseg.core.bids_output import Sessions

_LISTS = ("--participant-label", "--session-label")
_SPELLED = {name.replace("-", "_").replace("__", "--", 1): name for name in _LISTS}
_SPELLED["--skip_bids_validation"] = "--skip-bids-validation"

_In = Annotated[Path, typer.Argument(metavar="IN", help="BIDS data set.")]
_Out = Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the derivative.")]
_Level = Annotated[
    str, typer.Argument(metavar="LEVEL", help="Analysis level: participant is the only one.")
]
_Participants = Annotated[
    list[str] | None,
    options.option("--participant-label", "Only these participants, without sub-.", "01 02"),
]
_Sessions = Annotated[
    list[str] | None,
    options.option("--session-label", "Only these sessions, without ses-.", "1 2"),
]
_SkipValidation = Annotated[
    bool,
    options.option(
        "--skip-bids-validation",
        "Do not ask bids-validator-deno first. (default: ask it where it is installed)",
    ),
]


class BidsCommand(Command):
    """A command whose lists are written as other BIDS Apps take them: --participant-label 01 02."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        return list(super().parse_args(ctx, [*_one_by_one(args)]))


def _one_by_one(args: Sequence[str]) -> Iterator[str]:
    """The arguments with each value of a list under an option of its own."""
    name = ""
    for number, arg in enumerate(args):
        if arg.startswith("-"):
            option, sign, value = arg.partition("=")
            arg = _SPELLED.get(option, option) + sign + value
            name = arg if arg in _LISTS else ""
            if name and number + 1 < len(args) and not args[number + 1].startswith("-"):
                continue
        yield from (name, arg) if name and arg != name else (arg,)


@bundled(
    segmenting=options.SEGMENTING,
    computing=options.without(options.COMPUTING, "compiling"),
    work=options.WORKING,
)
def bids(
    *,
    source: _In,
    out: _Out,
    level: _Level,
    participant_label: _Participants = None,
    session_label: _Sessions = None,
    skip_bids_validation: _SkipValidation = False,
    model: options.Model = None,
    modalities: options.OnlyModalities = None,
    probabilities: Probabilities = False,
    overlays: Overlays = True,
    allow_missing: AllowMissing = False,
    overwrite: Overwrite = False,
    segmenting: Bundle,
    computing: Bundle,
    work: Bundle,
) -> None:
    """Segment a BIDS data set into a BIDS derivative, called as BIDS Apps are.

    It is predict --layout bids --bids. If it is stopped, the same command continues.

    Example: mriseg bids data/ data/derivatives/mriseg participant --model base
    """
    from mriseg import api
    from mriseg.recipes.bids_app import check_level

    check_level(level)
    with render.drawing() as draw:
        report = api.bids(
            source,
            out,
            common.run_or_newest(draw, model),
            common.predict_options(
                modalities,
                probabilities=probabilities,
                overlays=overlays,
                allow_missing=allow_missing,
                overwrite=overwrite,
                **segmenting,
            ),
            sessions=Sessions(tuple(participant_label or ()), tuple(session_label or ())),
            validates=not skip_bids_validation,
            backend=common.computing_for(draw, work, computing),
            **work,
            on_event=draw,
        )
    results.predicted(render.results(), report)
    common.check_complete(report.skipped, len(report.results))
