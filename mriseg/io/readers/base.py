"""What a reader returns: cases, each with a name, a patient and a way to load its arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from mriseg.core.drafts import Row
from mriseg.core.modalities import SEGMENTATION
from mriseg.core.outline import Outline
from mriseg.core.volume import Geometry
from mriseg.core.wording import counted
from mriseg.errors import ConfigError, InputError
from mriseg.io.images import files_of

# Cases that cannot be used, by name.
_MAX_LISTED = 5

Array = NDArray[Any]
Numbering = Literal["tumour", "lesion", "files"]


@dataclass(frozen=True)
class RawCase:
    """A case's arrays, in the source's own axes.

    Attributes:
        images: modality name -> [i, j, k] raw intensities, all finite; of ``geometry.shape`` but
            for those in ``grids``.
        labels: [i, j, k] uint8 canonical label values, or None without a segmentation.
        geometry: of the images (a segmentation's own affine is never used).
        notices: irregularities that were accepted, one sentence each.
        values: the segmentation file's own labels -> how many voxels have each, without 0.
        renamed: the file's own label -> the one in ``labels``, of those that were renumbered.
        regions: names of the layout's regions that ``labels`` give for certain; None: all.
        why_not: why they do not give the others, as a clause; empty: their numbering hides it.
        grids: modality -> the grid of its image, of those on another than ``geometry``; what brings
            them onto one is `mriseg.recipes.sessions`.
        own: modality -> where its file says that it lies, of those that were turned or taken to lie
            elsewhere.
        labels_on: the modality on whose grid the labels are; empty: on ``geometry``.
        outline: of the brain on the head as it was, where the skull was removed.
    """

    images: Mapping[str, Array]
    labels: Array | None
    geometry: Geometry
    notices: tuple[str, ...] = ()
    values: Mapping[int, int] = field(default_factory=dict)
    renamed: Mapping[int, int] = field(default_factory=dict)
    regions: tuple[str, ...] | None = None
    why_not: str = ""
    grids: Mapping[str, Geometry] = field(default_factory=dict)
    own: Mapping[str, Geometry] = field(default_factory=dict)
    labels_on: str = ""
    outline: Outline | None = None

    @property
    def places(self) -> dict[str, Geometry]:
        """Modality -> the grid of its image, of all."""
        return {name: self.grids.get(name, self.geometry) for name in self.images}


@dataclass(frozen=True)
class Case:
    """One scan session of one patient, whose files have not been read yet.

    Attributes:
        name: unique in its source; a folder or file name.
        patient: cases of one patient share it, so that a split never separates them.
        sources: modality name (or "seg") -> the files it is read from, in order.
        load: reads the files; raises CaseError with what is wrong, in one sentence.
        visit: which of the patient's visits it is; empty where nothing says so.
        notices: what was assumed about which files it is read from.
        notes: column of a table of cases -> what a person who judges the case wants to know.
    """

    name: str
    patient: str
    sources: Mapping[str, tuple[Path, ...]]
    load: Callable[[], RawCase] = field(repr=False, compare=False)
    visit: str = ""
    notices: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that have files, in the source's order."""
        return tuple(name for name in self.sources if name != SEGMENTATION)

    @property
    def images(self) -> tuple[Path, ...]:
        """The files of its modalities, once each, in order; a segmentation's are not among them."""
        return tuple(dict.fromkeys(path for name in self.modalities for path in self.sources[name]))

    @property
    def labelled(self) -> bool:
        """Whether there is a segmentation."""
        return SEGMENTATION in self.sources

    @property
    def files(self) -> tuple[Path, ...]:
        """Every source file, once, in order; of an image in two files both."""
        sources = (path for paths in self.sources.values() for path in paths)
        return tuple(dict.fromkeys(file for path in sources for file in files_of(path)))


@dataclass(frozen=True)
class ReaderOptions:
    """What the user can specify where the files do not.

    Attributes:
        channels: names of the channels, in order, for layouts whose files do not name them.
        labels: a folder of segmentations, named as the cases are, which count in place of those
            among the scans; or the file of each case by its name, and then no other case is read.
        own_labels: keep the label values as the files have them, whatever year they are of.
        segmentations: whether segmentations are wanted; a prediction reads none.
    """

    channels: tuple[str, ...] | None = None
    labels: Path | Mapping[str, Path] | None = None
    own_labels: bool = False
    segmentations: bool = True

    def refuse_channels(self, layout: str, why: str) -> None:
        """Refuse channel names, for layouts whose files name the channels.

        Raises:
            ConfigError: channels were named, which would be ignored.
        """
        if self.channels is not None:
            raise ConfigError(
                f"channels were named ({', '.join(self.channels)}), but the layout {layout} needs "
                f"no names: {why}; leave --channels out"
            )


@dataclass(frozen=True)
class Listing:
    """The cases under a folder, as listed by a reader.

    Attributes:
        cases: sorted by name, names unique.
        regions: name -> label values; the first is the layout's default target.
        labels: label value -> its name, where known.
        skipped: (name, reason) of everything that looks like a case but is not usable.
        notices: assumptions about all cases, one sentence each.
        unused: image-like file -> why it is in no case.
        proposals: name in ``skipped`` -> rows of a table of cases that would settle it.
        numbering: what the label values are, as a table of cases states it: "tumour" (BraTS, by
            year), "lesion" or "files" (as the files have them).
    """

    cases: tuple[Case, ...]
    regions: Mapping[str, tuple[int, ...]]
    labels: Mapping[int, str]
    skipped: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()
    unused: Mapping[Path, str] = field(default_factory=dict)
    proposals: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    numbering: Numbering = "files"


class Reader(Protocol):
    """A data layout. An object with these members is registered in ``READERS``."""

    name: str
    summary: str

    def matches(self, root: Path) -> bool:
        """Whether the folder ``root`` looks like this layout; cheap, reads no volume."""
        ...

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases under ``root``. Raises InputError if there are none."""
        ...


def none_usable(source: object, reasons: Mapping[str, str]) -> InputError:
    """The error where no case could be used.

    Args:
        source: where the cases are.
        reasons: case -> why it could not be used.
    """
    listed = "; ".join(f"{name}: {reason}" for name, reason in [*reasons.items()][:_MAX_LISTED])
    more = f"; and {len(reasons) - _MAX_LISTED} more" if len(reasons) > _MAX_LISTED else ""
    return InputError(
        f"none of the cases under {source} could be used ({counted(len(reasons), 'case')}): "
        f"{listed}{more}"
    )
