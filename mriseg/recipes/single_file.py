"""A single file to predict: which modality it is, and what lies beside it."""

from __future__ import annotations

import shlex
from pathlib import Path

from mriseg.core.filenames import read_name
from mriseg.core.modalities import MODALITIES
from mriseg.core.wording import agreeing
from mriseg.errors import InputError
from mriseg.io import images


def channel_of(path: Path) -> str | None:
    """The modality that a file's name states, if the file holds one volume."""
    modality = read_name(images.stem(path)).role
    try:
        shape = images.shape(path)
    except InputError:
        return modality if modality in MODALITIES else None  # reported when it is read
    holds_one = len(shape) < 4 or shape[3] == 1
    return modality if modality in MODALITIES and holds_one else None


def taken_as(path: Path, modality: str) -> str:
    """What a user should know of a file whose modality was taken from its name."""
    return f"{path.name} is taken as {modality}, by its name; --channels says otherwise"


def with_siblings(path: Path, out: Path, model: str) -> str:
    """What to do where other modalities of the same case lie beside a file; empty: none do.

    Args:
        path: the file that is read alone.
        out: where its mask goes.
        model: as a user names it.
    """
    own, subject = _named(path)
    try:
        others = [p for p in sorted(path.parent.iterdir()) if images.is_image(p) and p != path]
    except OSError:
        return ""
    roles = {p: _named(p) for p in others}
    beside = dict.fromkeys(
        role for role, name in roles.values() if name == subject and role in MODALITIES
    )
    if own is not None:
        beside.pop(own, None)
    if own is None or not beside:
        return ""
    names, count = ", ".join(map(str, beside)), len(beside)
    text = (
        f"{names} of the same case {agreeing(count, 'lies', 'lie')} beside it and "
        f"{agreeing(count, 'is', 'are')} not read; to use "
        f"{agreeing(count, 'it', 'them')} too: "
    )
    if any(name != subject for _, name in roles.values()):
        return f"{text}put the files of that case into a folder of their own, and name the folder"
    return text + _command(path.parent, out, model)


def naming_channels(path: Path, out: Path, model: str, modalities: tuple[str, ...]) -> str:
    """The command that says which modality a file is, where its name does not."""
    command = f"{_command(path, out, model)} --channels {modalities[-1]}"
    return f"say which it is ({', '.join(modalities)}), such as: {command}"


def _named(path: Path) -> tuple[str | None, str]:
    """What a file's name says: the modality, or "seg", and whose it is."""
    reading = read_name(images.stem(path))
    return reading.role, reading.subject


def _command(source: Path, out: Path, model: str) -> str:
    parts = ["mriseg", "predict", str(source), str(out), "--model", model]
    return " ".join(map(shlex.quote, parts))
