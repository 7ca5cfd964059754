"""What of an event is a line, and what is progress."""

from __future__ import annotations

from mriseg.console.drawing import Drawing
from mriseg.events import Advanced, Began, Measured, Notice
from tests.console.events import EVENTS


class Kept(Drawing):
    """Keeps what it is asked to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def line(self, text: str, style: str = "") -> None:
        self.calls.append(f"{style}|{text}")

    def began(self) -> None:
        self.calls.append(f"began {self.stage.name}")

    def advanced(self, event: Advanced) -> None:
        self.calls.append(f"at {event.done:g}")

    def close(self) -> None:
        self.calls.append("closed")


def test_each_event_has_its_place() -> None:
    drawing = Kept()
    for event in EVENTS:
        drawing(event)
    assert drawing.calls == [
        "|a notice",
        "began train",
        "at 10",
        "yellow|skipped case [1]: it is [bold]broken[/bold]",
        "at 20",
        "bold|epoch    1  loss 0.2500  Dice 0.5000  1:01  best so far",
        "began evaluate",
        "at 2",
        "|wrote a [b].txt (file)",
    ]


def test_the_stage_and_the_notices_of_a_command_of_several() -> None:
    drawing = Kept()
    for event in (Began("a", 4, "case", done=1), Advanced("a", 2), Notice("x"), Notice("x")):
        drawing(event)
    drawing(Measured("training", 1, {"dice": 0.5, "seconds": 61}, note="full, fold 1"))
    assert drawing.calls == ["began a", "at 2", "|x", "|full, fold 1: Dice 0.500 in 1:01"]
    assert drawing.stage.count() == "2/4 cases"
