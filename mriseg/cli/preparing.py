"""The options of what is done to scans first: onto which grid, aligned, stripped by what."""

from __future__ import annotations

from copy import copy
from typing import Annotated, Any, get_args

from mriseg.cli.bundles import Options
from mriseg.cli.options import option

_PREPARATION = "Preparation"

_Reference = Annotated[
    str | None,
    option(
        "--reference",
        "Modality whose grid the scans of a session come onto, where they lie on several. "
        "(default: {default})",
        "NAME",
        panel=_PREPARATION,
    ),
]
_Align = Annotated[
    bool | None,
    option(
        "--align/--no-align",
        "Register the scans of a session to that one first (rigid, by SimpleITK: an extra). "
        "(default: {default})",
        panel=_PREPARATION,
    ),
]
_Strip = Annotated[
    str | None,
    option(
        "--strip",
        "Remove all but the brain: deepbet, hd-bet (extras of mriseg) or none. (default: "
        "{default})",
        "NAME",
        panel=_PREPARATION,
    ),
]


def preparing(reference: str, align: str, strip: str) -> Options:
    """The options of what is done to scans first, with the defaults that their help says."""
    options = {"reference": _Reference, "align": _Align, "strip": _Strip}
    said = {"reference": reference, "align": align, "strip": strip}
    return {name: (_saying(item, said[name]), None) for name, item in options.items()}


def _saying(option: Any, default: str) -> Any:
    kind, info = get_args(option)
    own = copy(info)
    own.help = info.help.format(default=default)
    return Annotated[kind, own]
