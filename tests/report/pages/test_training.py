from __future__ import annotations

from dataclasses import replace

from mriseg.io.runs import Run
from mriseg.report import html
from mriseg.report.pages.training import Progress, training_page
from tests.pages import ABOUT, checked, png

ROWS = [
    {"epoch": n, "step": 9 * n, "loss": 1 / n, "dice": n / 10, "seconds": 60.0 * n}
    for n in range(1, 5)
]


def test_a_training_that_goes_on_and_one_that_ended(trained: Run) -> None:
    going = Progress(ROWS[:1])
    page = checked(html.render(training_page("run", trained.manifest, going, ABOUT)))
    assert "still training" in page.text and "no validation yet" in page.text

    dice = {"a": {"WT": 0.9}, "b": {"WT": 0.1}}
    done = Progress(ROWS, 0.4, 4, dice, "all 4 epochs are done")
    text = html.render(training_page("run", trained.manifest, done, ABOUT, picture=png()))
    page = checked(text)
    assert "It ended: all 4 epochs are done" in page.text and "0.400" in page.text
    assert "Loss by epoch, from 1.000 to 0.250; validation Dice, from 0.100 to 0.400." in page.text
    cells = page.text.partition("The best validation,")[2]
    assert cells.index("0.100") < cells.index("0.900")
    assert len(page.all("svg")) == 1 and len(page.all("img")) == 1


def test_a_transfer_says_where_it_began(trained: Run) -> None:
    parent = {"run": "ancestor", "weights": "source", "freeze": "encoder"}
    manifest = replace(trained.manifest, parent=parent)
    counts = {"counts": {"kept": 40, "adapted": 1, "new": 2}}
    page = training_page("run", manifest, Progress(ROWS), ABOUT, transfer=counts)
    text = checked(html.render(page)).text
    assert "40 kept, 1 adapted, 2 new" in text and "transferred from ancestor" in text
