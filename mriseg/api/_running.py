"""How every function of the interface runs its recipe."""

from __future__ import annotations

from mriseg.api._given import OnEvent
from mriseg.backends.ranks import ALONE, Ranks
from mriseg.console.progress import showing
from mriseg.events import R, Recipe
from mriseg.executors.processes import carry_out


def run_to_end(recipe: Recipe[R], on_event: OnEvent | None, ranks: Ranks = ALONE) -> R:
    """The result of ``recipe``; its progress is shown where nobody handles its events.

    Of several processes, the first alone has events.
    """
    if not ranks.first:
        return carry_out(recipe)
    with showing(on_event) as handle:
        return carry_out(recipe, handle)
