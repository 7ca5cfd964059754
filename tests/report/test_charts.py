"""Charts: what is drawn is what was given, whatever was given, and the file is whole."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from mriseg.errors import InputError, OutputError
from mriseg.report import charts
from mriseg.report.charts import dice_against_cases, dice_of_cases, learning_curves

NAN = math.nan
few = settings(deadline=None, max_examples=8)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that are written, as matplotlib's objects."""
    figures: list[Figure] = []
    save = charts.save_figure

    def keep(path: Path, figure: Figure) -> None:
        figures.append(figure)
        save(path, figure)

    monkeypatch.setattr(charts, "save_figure", keep)
    yield figures


def epoch(number: int, dice: dict[str, float] | None = None, **others: float) -> dict[str, Any]:
    row = {"epoch": number, "loss": 1 / number, "learning_rate": 1e-3, "seconds": 30.0 * number}
    scores = {} if dice is None else {f"dice_{k}": v for k, v in dice.items()}
    mean = {"dice": float(np.mean(list(dice.values())))} if dice else {}
    return row | scores | mean | others


def lines(axes: Axes) -> list[tuple[list[float], list[float]]]:
    """The curves of several points, not the dotted mark of the best."""
    return [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in axes.get_lines()
        if line.get_linestyle() == "-"
    ]


def words(figure: Figure) -> str:
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.findobj(Text)]
    return "\n".join(texts)


# Learning curves.


def test_curves_hold_the_log(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [
        epoch(1),
        epoch(2, {"WT": 0.5, "ET": 0.3}),
        epoch(3),
        epoch(4, {"WT": 0.8, "ET": 0.6}),
        epoch(5, {"WT": 0.7, "ET": 0.5}),
    ]
    learning_curves(tmp_path / "c.png", rows, "run")
    loss, dice, rate = drawn[0].axes
    assert lines(loss) == [([1, 2, 3, 4, 5], [row["loss"] for row in rows])]
    assert lines(rate) == [([1, 2, 3, 4, 5], [1e-3] * 5)]
    # Epochs without validation leave neither a point nor a gap.
    assert lines(dice) == [
        ([2, 4, 5], [0.5, 0.8, 0.7]),
        ([2, 4, 5], [0.3, 0.6, 0.5]),
        ([2, 4, 5], pytest.approx([0.4, 0.7, 0.6])),
    ]
    text = words(drawn[0])
    for word in ("run", "WT", "ET", "mean of the regions", "best 0.700, epoch 4", "minutes"):
        assert word in text


def test_minutes_lie_where_their_epochs_do(tmp_path: Path, drawn: list[Figure]) -> None:
    # Ten minutes per epoch, and twenty from the third on.
    seconds = [600, 1200, 2400, 3600]
    rows = [epoch(n, seconds=s) for n, s in enumerate(seconds, 1)]
    learning_curves(tmp_path / "c.png", rows, "run")
    (top,) = drawn[0].axes[0].child_axes
    where = {
        label.get_text(): float(place)
        for label, place in zip(top.get_xticklabels(), top.get_xticks(), strict=True)
    }
    assert where == {"10": 1, "20": 2, "30": 2.5, "40": 3, "50": 3.5, "60": 4}


def test_one_region_is_its_own_mean(tmp_path: Path, drawn: list[Figure]) -> None:
    learning_curves(tmp_path / "c.png", [epoch(1, {"WT": 0.5}), epoch(2, {"WT": 0.6})], "run")
    assert len(lines(drawn[0].axes[1])) == 1
    assert "mean" not in words(drawn[0])


def test_a_training_without_validation_has_no_panel_for_it(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    learning_curves(tmp_path / "c.png", [epoch(1), epoch(2)], "run")
    assert [axes.get_ylabel() for axes in drawn[0].axes] == ["loss", "learning rate"]


numbers = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([NAN, math.inf, -math.inf, 0.0])
logs = st.lists(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("loss", "learning_rate", "dice", "dice_WT", "dice_$_"), numbers)
        | {"seconds": st.floats(0, 1e6) | st.just(NAN)},
    ),
    min_size=1,
    max_size=12,
)


@few
@given(logs, st.text(max_size=20))
def test_any_log_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory, log: list[dict[str, Any]], title: str
) -> None:
    path = tmp_path_factory.mktemp("log") / "c.png"
    learning_curves(path, [{"epoch": n, **row} for n, row in enumerate(log, 1)], title)
    with Image.open(path) as picture:
        assert picture.format == "PNG"


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_round_numbers(low: float, further: float) -> None:
    ticks = charts._round_numbers(low, low + further)
    assert 1 <= ticks.size <= 6
    if further > 1e-3:
        assert low - 1e-6 <= ticks[0] and ticks[-1] <= low + further + 1e-6


# Dice against cases.


def test_there_is_one_line_per_method(tmp_path: Path, drawn: list[Figure]) -> None:
    methods = {
        "scratch": [(0.8, 0.7, 0.9), (0.5, 0.4, 0.6), (NAN, NAN, NAN)],
        "_fine-tuning$": [(0.9, 0.8, 0.95), (0.7, NAN, NAN), (0.85, 0.8, 0.9)],
    }
    dice_against_cases(tmp_path / "c.png", [20, 5, 10], methods, "LGG to hippocampus")
    (axes,) = drawn[0].axes
    (_, scratch), (_, tuned) = lines(axes)
    # By ascending size, and where there is no mean there is no point.
    assert scratch == [0.5, 0.8] and tuned == [0.7, 0.85, 0.9]
    bars = [
        sorted(np.asarray(path.vertices)[:, 1].tolist() for path in bar.get_paths())
        for bar in axes.collections
    ]
    assert bars == [[[0.4, 0.6], [0.7, 0.9]], [[0.8, 0.9], [0.8, 0.95]]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5", "10", "20"]
    five, ten, twenty = axes.get_xticks()
    assert ten - five == pytest.approx(twenty - ten)
    text = words(drawn[0])
    for word in ("scratch", "_fine-tuning$", "LGG to hippocampus", "logarithmic"):
        assert word in text


@pytest.mark.parametrize("sizes", [[0, 5, 10], [100, 101, 5], [7, 7, 7], [3]])
def test_sizes_not_in_powers_are_evenly_spaced(
    tmp_path: Path, drawn: list[Figure], sizes: list[int]
) -> None:
    dice_against_cases(tmp_path / "c.png", sizes, {"a": [(0.5, 0.4, 0.6)] * len(sizes)}, "")
    (axes,) = drawn[0].axes
    assert axes.get_xticks().tolist() == list(range(len(sizes)))
    assert "logarithmic" not in words(drawn[0])


values = st.floats(0, 1) | st.just(NAN) | st.just(math.inf)


@few
@given(
    st.lists(st.integers(0, 2000), max_size=6).flatmap(
        lambda sizes: st.tuples(
            st.just(sizes),
            st.dictionaries(
                st.text(max_size=20),
                st.lists(
                    st.tuples(values, values, values), min_size=len(sizes), max_size=len(sizes)
                ),
                min_size=1,
                max_size=9,
            ),
        )
    )
)
def test_any_comparison_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory,
    given_: tuple[list[int], dict[str, list[tuple[float, float, float]]]],
) -> None:
    path = tmp_path_factory.mktemp("cases") / "c.png"
    dice_against_cases(path, *given_, "any")
    with Image.open(path) as picture:
        assert picture.format == "PNG"


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    with pytest.raises(InputError, match="at least one"):
        dice_against_cases(path, [5], {}, "")
    with pytest.raises(InputError, match="1 values for 2 sizes"):
        dice_against_cases(path, [5, 10], {"a": [(0.5, 0.4, 0.6)]}, "")
    with pytest.raises(InputError, match="finished epoch"):
        learning_curves(path, [], "")
    with pytest.raises(InputError, match="at least one region"):
        dice_of_cases(path, {}, "")
    assert not list(tmp_path.iterdir())


# Dice of cases.


def test_there_is_one_point_per_case(tmp_path: Path, drawn: list[Figure]) -> None:
    scores = {"WT": [0.9, 0.9, 0.4, NAN, 0.8, 0.85], "ET": [0.3, NAN]}
    dice_of_cases(tmp_path / "c.png", scores, "evaluation")
    (axes,) = drawn[0].axes
    whole, core = (
        (np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.get_lines()
    )
    assert sorted(whole[1].tolist()) == [0.4, 0.8, 0.85, 0.9, 0.9]
    assert core[1].tolist() == [0.3]
    # Equal values lie side by side, and none reaches into the next region's column.
    assert len(set(zip(*whole, strict=True))) == 5 and np.abs(whole[0]).max() < 0.5
    text = words(drawn[0])
    assert "mean 0.770\nmedian 0.850" in text and "mean 0.300" in text
    low, high = axes.get_ylim()
    assert low < 0.3 and high > 1


@few
@given(
    st.dictionaries(
        st.text(max_size=12), st.lists(st.floats(0, 1) | st.just(NAN), max_size=60), min_size=1,
        max_size=12,
    )
)  # fmt: skip
def test_any_scores_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory, scores: dict[str, list[float]]
) -> None:
    path = tmp_path_factory.mktemp("scores") / "c.png"
    dice_of_cases(path, scores, "any")
    with Image.open(path) as picture:
        assert picture.format == "PNG"


# Files.

DRAWINGS: dict[str, Callable[[Path], None]] = {
    "curves": lambda path: learning_curves(path, [epoch(1, {"WT": 0.5}), epoch(2)], "run"),
    "against": lambda path: dice_against_cases(path, [5, 9], {"a": [(0.5, 0.4, 0.6)] * 2}, "x"),
    "cases": lambda path: dice_of_cases(path, {"WT": [0.5, 0.6, 0.6]}, "x"),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, draw: Callable[[Path], None]) -> None:
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert not {"Software", "date", "Creation Time"} & set(picture.info)


@pytest.mark.parametrize("name", [r"$\frac$", "_", "a\nb", "\u6d77\u99ac", "%s {} \\"])
def test_a_name_is_not_rendered_as_a_formula(tmp_path: Path, name: str) -> None:
    learning_curves(tmp_path / "c.png", [epoch(1, {name: 0.5, "WT": 0.4})], name)
    dice_against_cases(tmp_path / "a.png", [5], {name: [(0.5, 0.4, 0.6)]}, name)
    dice_of_cases(tmp_path / "d.png", {name: [0.5]}, name)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_a_chart_that_cannot_be_written_says_so(
    tmp_path: Path, draw: Callable[[Path], None]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        draw(tmp_path / "file" / "c.png")


def test_an_existing_chart_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.png"
    path.write_bytes(b"the last one")

    def fails(figure: Figure, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(OutputError, match="No space left"):
        dice_of_cases(path, {"WT": [0.5]}, "x")
    assert path.read_bytes() == b"the last one" and list(tmp_path.iterdir()) == [path]


def test_nothing_global_is_touched(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    for name, draw in DRAWINGS.items():
        draw(tmp_path / f"{name}.png")
    assert dict(matplotlib.rcParams) == before
    # pyplot holds on to every figure it makes; it may be loaded by others, but not by charts.
    code = (
        "import sys; from pathlib import Path; from mriseg.report.charts import dice_of_cases\n"
        "dice_of_cases(Path(sys.argv[1]), {'WT': [0.5]}, 'x')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "p.png")], check=True, timeout=60)
