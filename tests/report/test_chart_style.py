"""Charts look the same on every machine, and leave matplotlib as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mriseg.report.chart_style import (
    TITLE_SIZE,
    as_written,
    legend_below,
    new_figure,
    save_figure,
    style_axes,
)


def test_names_are_written_as_they_are(tmp_path: Path) -> None:
    figure = new_figure(4, 3, "$x$ of _a")
    axes = style_axes(figure.add_subplot(), "y", "x")
    lines = [axes.plot([0, 1], [0, 1])[0] for _ in range(2)]
    legend_below(figure, lines, ["_hidden", r"$\\frac$"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["_hidden", r"$\\frac$"]
    assert not any(text.get_parse_math() for text in legend.get_texts())
    title = as_written(figure._suptitle)
    assert title.get_fontsize() == TITLE_SIZE
    save_figure(tmp_path / "f.png", figure)
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_colours_and_letters_are_not_the_users_matplotlibrc(tmp_path: Path) -> None:
    """In a process of its own, since matplotlib reads that file once."""
    code = (
        "import sys; from pathlib import Path; from mriseg.report.charts import dice_of_cases\n"
        "dice_of_cases(Path(sys.argv[1]), {'W_T$': [0.5, 0.6, 0.6]}, 'x')"
    )
    dark = (
        "axes.facecolor: black\nfigure.facecolor: black\nsavefig.facecolor: black\n"
        "text.color: white\nxtick.color: white\naxes.edgecolor: white\nfont.family: serif\n"
        "savefig.dpi: 30\naxes.grid: True\ngrid.linestyle: dotted\n"
    )
    for name, text in (("plain", ""), ("dark", dark)):
        (tmp_path / f"rc_{name}").write_text(text)
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{name}.png")],
            env=os.environ | {"MATPLOTLIBRC": str(tmp_path / f"rc_{name}")},
            check=True,
            timeout=60,
        )
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "dark.png").read_bytes()
