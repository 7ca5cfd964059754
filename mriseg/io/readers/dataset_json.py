"""``dataset.json`` of nnU-Net and of the Medical Segmentation Decathlon: channels and labels.

Formats: nnU-Net's documentation/dataset_format.md, versions 1 and 2; arXiv 1902.09063.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.untrusted import parse_json, read_text

FOREGROUND = "foreground"

_MAX_JSON_BYTES = 2**24


@dataclass(frozen=True)
class Description:
    """The content of ``dataset.json``; what it does not state is None.

    Attributes:
        channels: names, in order.
        labels: name -> the label values that it unites.
    """

    channels: tuple[str, ...] | None = None
    labels: Mapping[str, tuple[int, ...]] | None = None


def read_description(path: Path) -> Description:
    """The content of the ``dataset.json`` at ``path``; an empty description if there is none.

    Raises:
        InputError: it cannot be read, or does not have the expected form.
    """
    if not path.is_file():
        return Description()
    try:
        data = parse_json(read_text(path, _MAX_JSON_BYTES))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({reason_of(error)})") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} is JSON but not an object (in braces)")
    try:
        return Description(
            channels=_described_channels(data.get("channel_names", data.get("modality"))),
            labels=_described_labels(data.get("labels")),
        )
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f'{path} should hold "channel_names": {{"0": "T1", ...}} (or "modality") and '
            f'"labels": {{"background": 0, "tumour": 1, ...}} ({error})'
        ) from error


def _described_channels(data: Any) -> tuple[str, ...] | None:
    """``{"0": "T1", "1": "FLAIR"}``, in both formats."""
    if not data:
        return None
    ordered = sorted((int(number), str(name)) for number, name in data.items())
    return tuple(name for _, name in ordered)


def _described_labels(data: Any) -> dict[str, tuple[int, ...]] | None:
    """``{"1": "tumour"}`` (Decathlon) or ``{"tumour": 1, "all": [1, 2]}`` (nnU-Net 2)."""
    if not data:
        return None
    labels: dict[str, tuple[int, ...]] = {}
    for key, value in data.items():
        name, values = (value, key) if isinstance(value, str) else (key, value)
        numbers = tuple(
            int(number) for number in (values if isinstance(values, list) else [values])
        )
        # Voxels to ignore are in no region; 0 is the background, whatever its name.
        if name == "ignore" or numbers == (0,):
            continue
        if not numbers or min(numbers) < 0 or max(numbers) > 255:
            raise ValueError(f"the label {name!r} is {values}")
        labels[name if name != FOREGROUND else f"{name}_"] = numbers
    return labels or None
