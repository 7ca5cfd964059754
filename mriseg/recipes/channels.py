"""Which modalities of a scan a model uses, and whether they are enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mriseg.core.prepare import PreparedCase
from mriseg.io.runs import Manifest


@dataclass(frozen=True)
class Channels:
    """What becomes of a scan's modalities.

    Attributes:
        used: the model's channels that the scan fills, in the model's order.
        missing: channels that the model reads and the scan lacks.
        unused: modalities that the scan has and that are not used.
    """

    used: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    @classmethod
    def of(cls, scan: Sequence[str], chosen: Sequence[str], reads: Sequence[str]) -> Channels:
        """The channels of a scan.

        Args:
            scan: its modalities.
            chosen: those of them that may be used.
            reads: what the model reads.
        """
        used = tuple(name for name in reads if name in chosen)
        return cls(
            used,
            tuple(name for name in reads if name not in scan),
            tuple(name for name in scan if name not in used),
        )

    @property
    def notices(self) -> list[str]:
        """One line, where a channel is missing or a modality is not used."""
        if not self.missing and not self.unused:
            return []
        text = f"used {', '.join(self.used)}"
        if self.missing:
            text += f"; lacks {', '.join(self.missing)}: the channel reads 0, the brain's mean"
        return [text + (f"; not used: {', '.join(self.unused)}" if self.unused else "")]


def restricted(case: PreparedCase, modalities: Sequence[str] | None) -> PreparedCase:
    """``case`` with only these modalities; None: all.

    Raises:
        InputError: it has none of them.
    """
    return case if modalities is None else case.only(modalities)


def unfit(
    has: tuple[str, ...] | None,
    manifest: Manifest,
    modalities: Sequence[str] | None,
    *,
    allow_missing: bool,
) -> str:
    """Why a scan of these modalities cannot be used, as far as that shows; or nothing.

    Args:
        has: what it has; None: only reading tells.
        manifest: of the model.
        modalities: those that may be used; None: all.
        allow_missing: whether a scan may lack some although training saw none.
    """
    if has is None:
        return ""
    kept = tuple(name for name in has if modalities is None or name in modalities)
    if not kept:
        return f"it has {', '.join(has)}: nothing is left with {', '.join(modalities or ())}"
    return too_few(kept, manifest, allow_missing=allow_missing)


def too_few(has: tuple[str, ...], manifest: Manifest, *, allow_missing: bool) -> str:
    """Why these modalities are not enough, or nothing."""
    lacking = [m for m in manifest.modalities if m not in has]
    names = ", ".join(has)
    if lacking and len(lacking) == len(manifest.modalities):
        return (
            f"it has {names} and the model reads {', '.join(manifest.modalities)}: none fits; "
            f"if the files do not name their channels, name them with --channels"
        )
    if lacking and not (manifest.incomplete or allow_missing):
        return (
            f"it lacks {', '.join(lacking)} (it has {names}), and the model never saw a case "
            f"without; --allow-missing predicts all the same"
        )
    return ""
