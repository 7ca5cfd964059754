"""What is found when files are checked: which were looked at, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        file: which, relative to what was verified; a source by its name.
        what: is wrong with it, as it follows the file's name in a sentence.
        case: that the file belongs to; empty where it belongs to none.
        slices: of the stored case, counted from 0, that cannot be read; empty where they are not
            known, or where it is all of them.
    """

    file: str
    what: str
    case: str = ""
    slices: tuple[int, ...] = ()


@dataclass
class Findings:
    """What was looked at, and what is wrong.

    Attributes:
        checked: what was looked at -> how many of them, in the order of looking.
        faults: what is wrong.
    """

    checked: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def blame(self, file: str, what: str, case: str = "", slices: Sequence[int] = ()) -> None:
        """One more fault."""
        self.faults.append(Fault(file, what, case, tuple(slices)))

    def count(self, what: str, number: int = 1) -> None:
        """So many more were looked at."""
        self.checked[what] = self.checked.get(what, 0) + number
