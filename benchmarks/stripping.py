"""Skull strippers on the same heads: seconds, brain volume, agreement, and how much tumour is kept.

No head here has a brain mask that a person drew. What can be counted is the share of the drawn
tumour that lies within the brain: a voxel outside is lost to every later step. Of heads that are
stripped already, it is the share of what is left that a second stripping keeps. The TIFF files of
LGG state no voxel size; a head of 150 mm and pixels of 0.94 mm are assumed, for hd-bet and for mL.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._data import cases
from benchmarks._timing import Comparison, finish, parser_of
from mriseg.backends import select
from mriseg.cli.render import messages, say
from mriseg.core.metrics import count, dice
from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Geometry
from mriseg.errors import InputError
from mriseg.io.readers import Case
from mriseg.strippers import STRIPPERS, best_modality

# In mm: how much of a head a stack of slices shows, and its pixels.
_HEIGHT, _PIXEL = 150.0, 0.94
# Of the largest intensity: more is not air of a stripped head.
_AIR = 0.0


def placed(geometry: Geometry) -> Geometry:
    """The geometry, with a voxel size where it states none."""
    if geometry.unit == "mm":
        return geometry
    n = geometry.shape[0]
    affine = np.zeros((4, 4))
    affine[(2, 1, 0), (0, 1, 2)] = (_HEIGHT / n, -_PIXEL, -_PIXEL)
    affine[3, 3] = 1
    return geometry_of(geometry.shape, affine)


def wanted(case: Case, name: str, modalities: Sequence[str], images: Sequence[str]) -> list[str]:
    """In which of a case's modalities a stripper is to look; "best" is the one that suits it."""
    best = best_modality(STRIPPERS[name], list(images))
    asked = [best if modality == "best" else modality for modality in modalities]
    return [modality for modality in dict.fromkeys(asked) if modality in images]


def measured(
    case: Case, names: Sequence[str], modalities: Sequence[str], keep: Path | None
) -> Iterator[tuple[dict[str, Any], NDArray[np.bool_]]]:
    """A row and a mask for each stripper and modality of a case."""
    raw = case.load()
    geometry = placed(raw.geometry)
    stripped = np.logical_or.reduce([image > _AIR for image in raw.images.values()])
    for name in names:
        for modality in wanted(case, name, modalities, list(raw.images)):
            row: dict[str, Any] = {"case": case.name, "stripper": name, "modality": modality}
            began = time.perf_counter()
            try:
                mask = STRIPPERS[name].brain(raw.images[modality], geometry, modality)
            except InputError as error:
                say(messages(), f"{case.name}, {name}, {modality}: {error}")
                yield row | {"refused": str(error)}, np.zeros(geometry.shape, dtype=bool)
                continue
            row["seconds"] = time.perf_counter() - began
            row["mL"] = geometry.volume_of(mask.sum()).value
            row["non-zero kept"] = float(mask[stripped].mean())
            if raw.labels is not None and raw.labels.any():
                row["tumour kept"] = float(mask[raw.labels > 0].mean())
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(keep / f"{case.name}_{name}_{modality}.npz", mask=mask)
            yield row, mask


def agreement(masks: dict[tuple[str, str], NDArray[np.bool_]]) -> dict[str, float]:
    """Dice of each two masks of a case."""
    return {
        f"{' '.join(a)} and {' '.join(b)}": dice(count(masks[a], masks[b]))
        for a, b in combinations(masks, 2)
    }


def summary(
    rows: Sequence[dict[str, Any]], pairs: Sequence[dict[str, float]]
) -> dict[str, float | str]:
    """What is shown: per stripper and modality, and per two of them."""
    numbers: dict[str, float | str] = {}
    for key in dict.fromkeys((row["stripper"], row["modality"]) for row in rows):
        own = [row for row in rows if (row["stripper"], row["modality"]) == key]
        done, name = [row for row in own if "seconds" in row], " ".join(key)
        numbers[f"{name}: heads"] = f"{len(done)} of {len(own)}"
        for what in ("seconds", "mL"):
            values = [row[what] for row in done]
            if values:
                numbers[f"{name}: {what}"] = (
                    f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
                )
        for what in ("tumour kept", "non-zero kept"):
            shares = [row[what] for row in done if what in row]
            if shares:
                below = sum(share < 0.99 for share in shares)
                numbers[f"{name}: {what}"] = (
                    f"mean {fmean(shares):.4f}, least {min(shares):.4f}, "
                    f"below 0.99 in {below} of {len(shares)}"
                )
    for pair in dict.fromkeys(name for each in pairs for name in each):
        values = [each[pair] for each in pairs if pair in each]
        numbers[f"Dice of {pair}"] = (
            f"{fmean(values):.3f} ({min(values):.3f} to {max(values):.3f}), {len(values)} heads"
        )
    return numbers


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="of scans; default: the sample")
    parser.add_argument("--strippers", default="deepbet,hd-bet", help="names, with commas")
    parser.add_argument("--modalities", default="best,FLAIR", help="names, with commas")
    parser.add_argument("--cases", type=int, help="only so many")
    parser.add_argument("--only", help="only the cases of these names, with commas")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the masks here")
    options = parser.parse_args(arguments)
    rows, pairs = [], []
    names, modalities = options.strippers.split(","), options.modalities.split(",")
    only = options.only.split(",") if options.only else None
    chosen = [case for case in cases(options.folder) if only is None or case.name in only]
    for case in chosen[: options.cases]:
        masks = {}
        for row, mask in measured(case, names, modalities, options.keep):
            rows.append(row)
            if "seconds" in row:
                masks[row["stripper"], row["modality"]] = mask
                text = ", ".join(
                    f"{key} {row[key]:.4g}" for key in row if not isinstance(row[key], str)
                )
                say(messages(), f"{case.name}, {row['stripper']}, {row['modality']}: {text}")
        pairs.append(agreement(masks))
    numbers = summary(rows, pairs)
    return finish("benchmarks.stripping", select("cpu"), options, [], numbers, {"heads": rows})


if __name__ == "__main__":
    main()
