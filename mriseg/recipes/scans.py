"""How scans are read: what `inspect` and `preprocess` are asked, in one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from mriseg.core.train_settings import names
from mriseg.io.location import local_path
from mriseg.io.readers import ReaderOptions
from mriseg.recipes.case_work import Workers
from mriseg.recipes.labels import means_own_labels


@dataclass(frozen=True)
class ScanOptions:
    """How scans are read.

    Attributes:
        layout: "auto" or a name in `mriseg.io.readers.READERS`.
        regions: as `mriseg.core.regions.parse_regions` takes them; None: the layout's default,
            which is the whole tumour, or every labelled voxel where labels are of something else.
            Numbers in it are the files' own labels.
        channels: names of the channels, for layouts whose files do not name them.
        labels: a folder of segmentations, named as the cases are, which count in place of those
            among the scans; or the file of each case by its name, and then no other case is read.
        workers: processes; None: one per core.
        executor: who reads them, as `mriseg.recipes.case_work.Workers` takes it; None: processes.
    """

    layout: str = "auto"
    regions: str | None = None
    channels: str | Sequence[str] | None = None
    labels: str | Path | Mapping[str, Path] | None = None
    workers: int | None = None
    executor: str | Executor | None = None

    @property
    def who(self) -> Workers:
        """The workers that read the scans."""
        return Workers(self.executor, self.workers, backend=None)

    def absolute(self, source: Path) -> Path:
        """``source`` as other machines need it, where they read the scans."""
        return source.absolute() if self.who.are_elsewhere else source

    @property
    def for_readers(self) -> ReaderOptions:
        """What a reader has to know of it.

        Raises:
            InputError: ``labels`` is a URL.
        """
        channels = names(self.channels) if isinstance(self.channels, str) else self.channels
        labels = self.labels
        if isinstance(labels, Mapping):
            labels = {name: self.absolute(path) for name, path in labels.items()}
        elif labels is not None:
            labels = self.absolute(local_path(labels, "a folder of segmentations"))
        return ReaderOptions(
            channels=tuple(channels) if channels else None,
            labels=labels,
            own_labels=means_own_labels(self.regions),
        )
