"""What of an event is worth a line, and what of it is progress, wherever it is drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mriseg.console.stage import Stage, clock
from mriseg.events import Advanced, Began, Event, Measured, Notice, Skipped, Wrote


class Drawing(ABC):
    """Draws each event that it is handed; subclasses say where and how."""

    def __init__(self) -> None:
        self.stage = Stage()
        self._noticed: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Draw an event."""
        match event:
            case Notice(text):
                # A command that consists of others may hear the same from several of them.
                if text not in self._noticed:
                    self._noticed.add(text)
                    self.line(text)
            case Skipped(case, reason):
                self.line(f"skipped {case}: {reason}", "yellow")
            case Wrote(path, what):
                self.line(f"wrote {path} ({what})")
            case Measured(stage="epoch"):
                self.line(_epoch(event), "bold" if event.note else "")
            case Measured(stage="training"):
                result = f"Dice {event.numbers['dice']:.3f} in {clock(event.numbers['seconds'])}"
                self.line(f"{event.note}: {result}")
            case Began():
                self.stage = Stage(
                    event.stage, event.total, event.unit, at_once=event.at_once, begun_at=event.done
                )
                self.began()
            case Advanced():
                self.stage.reach(event.done, event.left)
                self.advanced(event)
            # Measured cases are in the table at the end.

    @abstractmethod
    def line(self, text: str, style: str = "") -> None:
        """A line that stays.

        Args:
            text: as it came; it may hold control characters.
            style: "bold", "yellow" or none.
        """

    @abstractmethod
    def began(self) -> None:
        """A stage began."""

    @abstractmethod
    def advanced(self, event: Advanced) -> None:
        """The stage advanced."""

    @abstractmethod
    def close(self) -> None:
        """There will be no more events."""


def _epoch(event: Measured) -> str:
    """One line of the table that grows with the epochs."""
    numbers = event.numbers
    parts = [f"epoch {event.step:>4}", f"loss {numbers['loss']:.4f}"]
    regions = {k: v for k, v in numbers.items() if k.startswith("dice_")}
    if "dice" in numbers:
        parts.append(f"Dice {numbers['dice']:.4f}")
    if len(regions) > 1:
        shown = (f"{name.removeprefix('dice_')} {value:.3f}" for name, value in regions.items())
        parts.append(f"({', '.join(shown)})")
    if "images_per_second" in numbers:
        parts.append(f"{numbers['images_per_second']:.1f} images/s")
    if "seconds" in numbers:
        parts.append(clock(numbers["seconds"]))
    return "  ".join([*parts, event.note]).rstrip()


def now(event: Advanced, *, ended: bool) -> list[str]:
    """What is being worked on, as long as something is, and numbers of it."""
    numbers = (f"{name} {value:.3g}" for name, value in event.numbers.items())
    return [*filter(None, ("" if ended else event.item, *numbers))]
