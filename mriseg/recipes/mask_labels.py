"""Which values of each mask file and each truth file make up a region: planned before measuring.

Two sides that number their labels differently would agree on nothing, and nobody would notice. So
the values of all files are counted first, and what they do not explain is said or refused.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mriseg.core.regions import Regions, join_labels, parse_regions
from mriseg.core.tumour_labels import TUMOUR_LABELS, TUMOUR_REGIONS, numbering
from mriseg.core.wording import agreeing, counted
from mriseg.errors import ConfigError

FOREGROUND = "foreground"
"""The region of all that is not 0, where none was asked for."""

# The other of the two values of a mask that was saved as an 8-bit picture.
_WHITE = 255
# Published since 2023; mriseg's own masks of WT, TC and ET never hold it.
_ENHANCING_SINCE_2023 = 3


@dataclass(frozen=True)
class Wanted:
    """The regions to measure.

    Attributes:
        regions: name -> label values; None: all that is not 0.
        named: those of them given by BraTS's name alone. They mean the tissue, whichever number a
            file has for it; the others mean each file's own numbers.
    """

    regions: Regions | None = None
    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, regions: str | Mapping[str, tuple[int, ...]] | None) -> Wanted:
        """From text such as "WT,ET" or "WT=1+2+4,ET=4", or from each region's labels.

        Raises:
            ConfigError: the text is of neither form.
        """
        if not isinstance(regions, str):
            return cls(None if regions is None else dict(regions))
        parts = (part.strip() for part in regions.split(","))
        parsed = parse_regions(regions, TUMOUR_REGIONS)
        return cls(parsed, frozenset(part for part in parts if part in TUMOUR_REGIONS))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions, in order."""
        return (FOREGROUND,) if self.regions is None else tuple(self.regions)


@dataclass(frozen=True)
class FileLabels:
    """What a file holds.

    Attributes:
        voxels: label value -> how many voxels have it; without 0.
        stems: names that may show which numbering it has.
    """

    voxels: Mapping[int, int]
    stems: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelPlan:
    """How the labels of each pair are read.

    Attributes:
        masks: name of the pair -> region -> the mask's own values.
        truths: likewise, of the truth.
        refused: name of a pair -> why it cannot be measured.
        notices: what was renumbered, taken for a region or left in none.
    """

    masks: dict[str, Regions]
    truths: dict[str, Regions]
    refused: dict[str, str]
    notices: tuple[str, ...]


def plan_labels(
    masks: Mapping[str, FileLabels], truths: Mapping[str, FileLabels], wanted: Wanted
) -> LabelPlan:
    """Decide which values make up each region, file by file.

    Args:
        masks: by the name of the pair.
        truths: likewise.
        wanted: the regions.

    Raises:
        ConfigError: no truth holds a region, and values that do not fit show why.
    """
    held = {value for labels in masks.values() for value in labels.voxels}
    sides = (
        # mriseg writes masks in BraTS's numbers up to 2021, whatever the scan's year; and of a
        # single region as 1, whatever its labels.
        _Side(
            "mask",
            masks,
            wanted,
            renumber=_ENHANCING_SINCE_2023 in held,
            binary=held <= {1, _WHITE},
        ),
        _Side("truth", truths, wanted),
    )
    for side in sides:
        side.plan()
    mask_side, truth_side = sides
    meant = _tissues_meant(truth_side, wanted)
    if meant:
        plan = plan_labels(masks, truths, replace(wanted, named=wanted.named | meant.keys()))
        return replace(plan, notices=(*meant.values(), *plan.notices))
    refused = mask_side.refused | truth_side.refused
    notices = [text for side in sides for text in side.notices()]
    if wanted.regions is not None:
        notices += _check_held(truth_side, wanted)
    return LabelPlan(mask_side.regions, truth_side.regions, refused, tuple(notices))


@dataclass
class _Side:
    """The masks, or the truths.

    Attributes:
        kind: "mask" or "truth".
        files: by the name of the pair.
        wanted: the regions.
        renumber: whether BraTS's numbers of other years are looked for.
        binary: whether 1 is a single region, whatever its labels.
        regions: name of a file -> region -> the file's own values.
        refused: name of a file -> why it cannot be measured.
        tumour: name of a file -> its values that are a tissue of the tumour, where regions are
            given by such names alone: those not asked for are no surprise.
        said: what was done -> to how many files.
    """

    kind: str
    files: Mapping[str, FileLabels]
    wanted: Wanted
    renumber: bool = True
    binary: bool = False
    regions: dict[str, Regions] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    tumour: dict[str, set[int]] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)

    def plan(self) -> None:
        """Fill in ``regions`` and ``refused``."""
        for name, labels in self.files.items():
            values = set(labels.voxels)
            if values == {_WHITE}:
                self._take_white(name)
            elif self.wanted.regions is None:
                self.regions[name] = {FOREGROUND: tuple(sorted(values))}
            elif self.binary and len(self.wanted.names) == 1:
                self.regions[name] = {self.wanted.names[0]: (1,)}
            else:
                self.regions[name] = self._by_numbers(name, labels, self.wanted.regions)

    def _take_white(self, name: str) -> None:
        if len(self.wanted.names) > 1:
            self.refused[name] = (
                f"its {self.kind} holds 0 and {_WHITE} alone, which does not tell "
                f"{' from '.join(self.wanted.names)}; name one region, or none"
            )
            return
        self.regions[name] = {self.wanted.names[0]: (_WHITE,)}
        self.said[f"holds 0 and {_WHITE} alone: {_WHITE} was taken as {self.wanted.names[0]}"] += 1

    def _by_numbers(self, name: str, labels: FileLabels, regions: Regions) -> Regions:
        canonical = {value: value for value in labels.voxels}
        if self.wanted.named:
            canonical = self._canonical(name, labels)
        if self.wanted.named == set(regions):
            tumour = TUMOUR_REGIONS["WT"]
            self.tumour[name] = {own for own, value in canonical.items() if value in tumour}
        return {
            region: tuple(
                sorted(
                    value
                    for value in labels.voxels
                    if (canonical[value] if region in self.wanted.named else value) in numbers
                )
            )
            for region, numbers in regions.items()
        }

    def _canonical(self, name: str, labels: FileLabels) -> dict[int, int]:
        """The file's own values -> those of `TUMOUR_LABELS`, and what is to be said of it."""
        pairs, assumptions = _by_year(name, labels)
        changed = {old: new for old, new in pairs.items() if old != new}
        if not self.renumber:
            if changed:
                kept = ", ".join(f"{old} is {_tissue(old)}" for old in changed)
                self.said[f"was read in BraTS's numbers up to 2021: {kept}"] += 1
            return {old: old for old in pairs}
        if changed:
            each = ", ".join(f"{old} to {new} ({_tissue(new)})" for old, new in changed.items())
            self.said[f"was renumbered, as BraTS's years differ: {each}"] += 1
        for text in assumptions:
            self.said[f"was read so: {text}"] += 1
        return pairs

    def otherwise(self, region: str, numbers: Iterable[int]) -> dict[int, int]:
        """Values that a tissue named ``region`` has in BraTS's years, and not in ``numbers``.

        Returns:
            The files' own value -> that of `TUMOUR_LABELS`.
        """
        tissues = set(TUMOUR_REGIONS.get(region, ()))
        by_year = [_by_year(name, self.files[name])[0] for name in self.regions]
        return {
            old: new
            for pairs in by_year
            for old, new in pairs.items()
            if old != new and (new in tissues) != (old in numbers)
        }

    def unused(self, name: str) -> set[int]:
        """The values of a file that are in no region."""
        used = {value for values in self.regions.get(name, {}).values() for value in values}
        return set(self.files[name].voxels) - used

    def strays(self) -> set[int]:
        """The values of all files that are in no region."""
        return {value for name in self.regions for value in self.unused(name)}

    def values(self) -> set[int]:
        """Those of all files that are measured."""
        return {value for name in self.regions for value in self.files[name].voxels}

    def holds(self, region: str) -> bool:
        """Whether any file does."""
        return any(regions[region] for regions in self.regions.values())

    def notices(self) -> list[str]:
        """What is to be said of its files, each thing once."""
        texts = [f"{counted(count, self.kind)}: it {text}" if count == 1 else
                 f"{counted(count, self.kind)}: each {text}"
                 for text, count in self.said.items()]  # fmt: skip
        files: Counter[int] = Counter()
        voxels: defaultdict[int, int] = defaultdict(int)
        for name in self.regions:
            for value in self.unused(name) - self.tumour.get(name, set()):
                files[value] += 1
                voxels[value] += self.files[name].voxels[value]
        if files:
            each = ", ".join(
                f"{value} ({counted(voxels[value], 'voxel')} in {counted(files[value], 'file')})"
                for value in sorted(files)
            )
            be = agreeing(len(files), "this label is", "these labels are")
            counts = agreeing(len(files), "counts", "count")
            texts.append(f"{self.kind}s: {be} in no region and {counts} as background: {each}")
        return texts


def _tissues_meant(truths: _Side, wanted: Wanted) -> dict[str, str]:
    """Regions whose numbers no truth holds, while its tissue has another number there.

    Returns:
        The region -> what is to be said of it.
    """
    meant = {}
    for region, numbers in (wanted.regions or {}).items():
        if region in wanted.named or not truths.values() or truths.holds(region):
            continue
        otherwise = truths.otherwise(region, numbers)
        if set(otherwise.values()) <= set(numbers) and otherwise:
            each = ", ".join(f"{old} is {_tissue(new)}" for old, new in otherwise.items())
            meant[region] = (
                f"no truth holds {region} as label {join_labels(numbers)}; by their names {each} "
                f"there, so {region} goes by the tissue, and truths are renumbered for it"
            )
    return meant


def _check_held(truths: _Side, wanted: Wanted) -> list[str]:
    """Notices of regions that no truth holds, or that are other tissues there.

    Raises:
        ConfigError: it seems that they are numbered otherwise.
    """
    regions = wanted.regions or {}
    if not truths.values():
        return []
    notices, strays = [], truths.strays()
    absent = [region for region in regions if not truths.holds(region)]
    by_number = [region for region in regions if region not in wanted.named]
    for region in by_number:
        otherwise = truths.otherwise(region, regions[region])
        if region in absent and strays | otherwise.keys():
            raise ConfigError(_numbered_otherwise(absent, strays | otherwise.keys(), regions))
        if otherwise:
            each = ", ".join(f"{old} is {_tissue(new)}" for old, new in otherwise.items())
            notices.append(
                f"by the names of the truths, {each} there; {region} is measured by the numbers "
                f"given, and --regions {region} would go by the tissue"
            )
    # A tissue by its name may well be absent, beside others that nobody asked for.
    strange = strays - TUMOUR_LABELS.keys()
    if absent and strange:
        raise ConfigError(_numbered_otherwise(absent, strange, regions))
    if absent:
        notices.append(
            f"no truth holds {', '.join(absent)}: Dice is 1 where the mask holds none either, and "
            f"else 0"
        )
    return notices


def _by_year(name: str, labels: FileLabels) -> tuple[dict[int, int], tuple[str, ...]]:
    """A file's own values -> those of `TUMOUR_LABELS`; and what was assumed."""
    plan = numbering(labels.voxels.keys(), name, labels.stems)
    pairs = {value: plan.renamed.get(value, value) for value in sorted(labels.voxels)}
    return pairs, (plan.notice,) if plan.notice else ()


def _tissue(label: int) -> str:
    return TUMOUR_LABELS.get(label, f"label {label}")


def _numbered_otherwise(absent: list[str], strays: Iterable[int], regions: Regions) -> str:
    lacking = ", ".join(f"{region} (label {join_labels(regions[region])})" for region in absent)
    values = ", ".join(map(str, sorted(strays)))
    text = f"no truth holds {lacking}, but truths hold {values}, so their labels may be others; "
    if set(regions) <= set(TUMOUR_REGIONS):
        return text + (
            f"if they are BraTS's, --regions {','.join(regions)} brings those of every year to the "
            f"same numbers"
        )
    return text + f"name those that the files hold, as in --regions {absent[0]}=1+2"
