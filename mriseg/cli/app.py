"""The command line: parse, call the function of `mriseg.api`, draw its events, show its report."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from mriseg import __version__
from mriseg.cli import encoding, options, together
from mriseg.cli.commands.bids import BidsCommand, bids
from mriseg.cli.commands.check import bench, demo, doctor, verify
from mriseg.cli.commands.correct import annotate, improve
from mriseg.cli.commands.cross import cross_validate
from mriseg.cli.commands.hand_on import export, share
from mriseg.cli.commands.info import info
from mriseg.cli.commands.make import forecast, inspect, preprocess, train, transfer
from mriseg.cli.commands.use import evaluate, predict
from mriseg.cli.group import Command, Commands
from mriseg.recipes.about import COMMAND

app = typer.Typer(
    cls=Commands,
    name="mriseg",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

GROUPS = {
    "Use a model": (predict, bids, evaluate, info),
    "Correct it": (annotate, improve),
    "Make a model": (inspect, preprocess, train, transfer, forecast, cross_validate),
    "Hand it on": (export, share),
    "Check": (verify, doctor, bench, demo),
}
"""The commands, by the groups of the help."""


def main() -> None:
    """Run the command line."""
    encoding.use_utf8()
    COMMAND.set(shlex.join(["mriseg", *sys.argv[1:]]))
    with together.one_voice():
        app(prog_name="mriseg")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mriseg {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        options.option("--version", "Show the version and exit.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Segment brain MRI: train a SegNet, transfer it to the next task, and export it.

    New to mriseg? Start with: mriseg demo
    """


for _panel, _commands in GROUPS.items():
    for _command in _commands:
        _class = BidsCommand if _command is bids else Command
        app.command(cls=_class, rich_help_panel=_panel)(_command)
