"""A backend as it is asked for; a value that loads no PyTorch and can be sent anywhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """A backend as it is asked for, to be made where the computing is done.

    Attributes:
        name: of the backend; this and the others as `mriseg.backends.select` takes them.
        precision: number format.
        deterministic: same input, same bits.
        compile: whether to compile.
    """

    name: str = "auto"
    precision: str = "auto"
    deterministic: bool = False
    compile: str = "auto"
