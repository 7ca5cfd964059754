from __future__ import annotations

from typing import Annotated

import typer
from typer.testing import CliRunner

from mriseg.cli.bundles import Bundle, Options, bundled

SIDES: Options = {
    "height": (Annotated[int, typer.Option("--height", help="How high.")], 3),
    "width": (Annotated[int, typer.Option("--width", help="How wide.")], 4),
}

app = typer.Typer()
app.callback()(lambda: None)


@app.command()
@bundled(sides=SIDES)
def draw(*, name: str, sides: Bundle, fill: bool = False) -> None:
    """Draw it."""
    typer.echo(f"{name} {sorted(sides.items())} {fill}")


def test_the_command_gets_a_bundle_as_one_mapping() -> None:
    done = CliRunner().invoke(app, ["draw", "box", "--width", "9", "--fill"])
    assert done.stdout == "box [('height', 3), ('width', 9)] True\n"


def test_the_help_has_the_options_in_their_place() -> None:
    text = CliRunner().invoke(app, ["draw", "--help"]).stdout
    assert "Draw it." in text
    places = [text.index(option) for option in ("--height", "--width", "--fill")]
    assert places == sorted(places)
