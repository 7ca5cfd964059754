"""How every function of the interface runs its recipe."""

from __future__ import annotations

from mriseg.api._given import OnEvent
from mriseg.console.progress import showing
from mriseg.events import R, Recipe
from mriseg.executors.processes import carry_out


def run_to_end(recipe: Recipe[R], on_event: OnEvent | None) -> R:
    """The result of ``recipe``; its progress is shown where nobody handles its events."""
    with showing(on_event) as handle:
        return carry_out(recipe, handle)
