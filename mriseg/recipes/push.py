"""Hand a shared model to the Hugging Face Hub, where others name it as ``hf:USER/NAME``."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mriseg.errors import RunError
from mriseg.events import Notice, Recipe
from mriseg.io.hub import pushing
from mriseg.io.runs import Run
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview


@dataclass(frozen=True, repr=False)
class PushReport(Shown):
    """The result of `push`.

    Attributes:
        address: ``hf:USER/NAME@COMMIT``, by which the model is found again.
        url: its page.
        files: names of what was pushed.
        size_bytes: of all of them.
    """

    address: str
    url: str
    files: tuple[str, ...]
    size_bytes: int

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return Overview(
            title=f"{self.address}, {self.size_bytes / 1e6:.1f} MB",
            facts=(("page", self.url), ("files", ", ".join(self.files))),
            records=[asdict(self)],
        )


def push(run: Run, repo: str, *, private: bool = False) -> Recipe[PushReport]:
    """Push a model that `mriseg.recipes.share.share` made.

    It is pushed without a question: the command line asks before it calls this.

    Args:
        run: the model.
        repo: "USER/NAME"; made where it does not exist.
        private: a repository that is made is seen by its owner alone.

    Raises:
        ConfigError: nobody is logged in, the name is of another form, or huggingface_hub is not
            installed.
        RunError: it is a run with its training, and not what `share` makes of it; or it is damaged.
        OutputError: its card cannot be read by the Hub, or the Hub refuses or cannot be reached.
    """
    pushing.check_push(repo)
    if not run.is_shared:
        raise RunError(
            f"{run.path} is a run with its training, its names and its paths: make a model of it "
            f"with mriseg share, and push that"
        )
    run.load("best")
    if run.card.is_file():
        pushing.check_card(run.card)
    files = pushing.pushable(run.path)
    pushed = pushing.push(run.path, repo, private=private)
    yield Notice(f"pushed to {pushed.url}; others use it with: --model {pushed.address}")
    size = sum(path.stat().st_size for path in files)
    return PushReport(str(pushed.address), pushed.url, tuple(path.name for path in files), size)
