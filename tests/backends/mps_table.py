"""Which operations of PyTorch have a kernel on MPS, by the table that PyTorch is built from.

    python -m tests.backends.mps_table torch-2.9.0-cp311-none-macosx_11_0_arm64.whl 2.9.0

writes the names of those that a release has into ``mps_2.9.0.txt`` beside this file; the wheel
comes from ``pip download --no-deps --only-binary=:all: --platform macosx_11_0_arm64 torch==2.9.0``.
The table itself is in every installation of PyTorch, in torchgen.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

TABLE = "packaged/ATen/native/native_functions.yaml"

# Kernels that are made of other operations, for every device.
_COMPOSITE = {
    "CompositeImplicitAutograd",
    "CompositeExplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
}


@dataclass
class Entry:
    """An operation of the table.

    Attributes:
        keys: the devices, and kinds of composite kernels, that it states a kernel for.
        delegate: the operation whose kernels it uses, if any.
        generated: names of variants that are made from it, for every device.
    """

    keys: set[str] = field(default_factory=set)
    delegate: str = ""
    generated: tuple[str, ...] = ()


def entries(text: str) -> dict[str, Entry]:
    """The operations of a table, by name and overload, as in ``add.Tensor``."""
    read: dict[str, Entry] = {}
    for block in re.split(r"^- func: ", text, flags=re.MULTILINE)[1:]:
        entry = read.setdefault(block.partition("(")[0], Entry())
        if match := re.search(r"^  structured_delegate: (\S+)", block, re.MULTILINE):
            entry.delegate = match[1]
        if match := re.search(r"^  autogen: (.+)$", block, re.MULTILINE):
            entry.generated = tuple(re.split(r",\s*", match[1].strip()))
        if match := re.search(r"^  dispatch:\n((?:    .*\n|\s*#.*\n)+)", block, re.MULTILINE):
            for keys, _ in re.findall(r"^    ([\w, ]+): (\S+)", match[1], re.MULTILINE):
                entry.keys.update(re.split(r",\s*", keys.strip()))
        elif not entry.delegate:
            entry.keys.add("CompositeImplicitAutograd")
    return read


def on_mps(text: str) -> set[str]:
    """The operations that run on MPS: by a kernel of its own, or one for every device."""
    table = entries(text)
    able = {name for name in table if _able(table, name)}
    return able | {variant for entry in table.values() for variant in entry.generated}


def _able(table: dict[str, Entry], name: str) -> bool:
    entry = table[name]
    if entry.delegate:
        # Its own keys may be those of kernels for sparse tensors alone.
        return _able(table, entry.delegate) or bool(entry.keys & {"MPS", *_COMPOSITE})
    return bool(entry.keys & {"MPS", *_COMPOSITE})


def installed() -> str:
    """The table of the PyTorch that is installed."""
    spec = find_spec("torchgen")
    assert spec is not None and spec.submodule_search_locations, "PyTorch brings torchgen"
    return Path(spec.submodule_search_locations[0], TABLE).read_text(encoding="utf-8")


def stored(version: str) -> set[str]:
    """The operations that ran on MPS in a release."""
    return set(expanded(_file(version).read_text(encoding="utf-8").splitlines()))


def _file(version: str) -> Path:
    return Path(__file__).with_name(f"mps_{version}.txt")


def expanded(lines: list[str]) -> Iterator[str]:
    """The names that `condensed` made lines of."""
    for line in lines:
        name, *overloads = line.split()
        yield from (name if each == "-" else f"{name}.{each}" for each in overloads)


def condensed(names: set[str]) -> Iterator[str]:
    """A line for each operation, with its overloads; the one without a name is "-"."""
    overloads: dict[str, list[str]] = {}
    for name in sorted(names):
        base, _, overload = name.partition(".")
        overloads.setdefault(base, []).append(overload or "-")
    yield from (" ".join([base, *each]) for base, each in overloads.items())


def main(wheel: str, version: str) -> None:
    """Write the list of a release."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"torchgen/{TABLE}").decode()
    _file(version).write_text("\n".join([*condensed(on_mps(text)), ""]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
