"""What a prediction does to its scans before the network, by what the run knows of its training."""

from __future__ import annotations

from mriseg.core.modalities import canonical_modality
from mriseg.core.preparation import NO_STRIPPER, UNPREPARED, Align, Preparation
from mriseg.errors import ConfigError
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.runs import Manifest
from mriseg.io.store import open_store
from mriseg.recipes.masking import PredictOptions
from mriseg.recipes.sessions import check_preparation


def preparation_of(
    reference: str | None = None, align: bool | None = None, strip: str | None = None
) -> Preparation:
    """What a user asks for.

    Args:
        reference: the modality whose grid counts, in any spelling; None: the finest.
        align: whether scans are registered to it.
        strip: the name of a stripper; None: heads are taken as they are.

    Raises:
        ConfigError: a library is missing.
        UnknownNameError: there is no such stripper.
    """
    return _asked(UNPREPARED, reference, align, strip)


def preparation_for(
    source: Location, options: PredictOptions, manifest: Manifest
) -> tuple[Preparation, list[str]]:
    """How the scans of a prediction are prepared; and what to say of it.

    As those of the training were, unless an option says otherwise: scans that somebody else has
    stripped need it no more, and a model whose training scans came stripped knows of no stripper.

    Args:
        source: of the scans, files or a store.
        options: what is asked for.
        manifest: of the run.

    Raises:
        ConfigError: scans in a store are to be prepared again, or a library is missing.
        UnknownNameError: there is no such stripper.
    """
    of_run = manifest.preparation
    given = (options.reference, options.align, options.strip)
    if what_is(source) is Kind.STORE:
        if any(value is not None for value in given):
            raise ConfigError(
                f"{source} is a store, whose scans are prepared already: leave --reference, "
                f"--align and --strip out, or give the scans themselves"
            )
        stored = open_store(source).spec.preparation
        return stored, differences(stored, of_run)
    wanted = _asked(of_run, *given)
    if wanted != of_run:
        return wanted, differences(wanted, of_run)
    return wanted, [] if of_run.is_none else [f"scans are prepared as in training: {of_run}"]


def differences(now: Preparation, trained: Preparation) -> list[str]:
    """What to say where scans are prepared otherwise than those of a training; or nothing."""
    if now == trained:
        return []
    return [
        f"scans are prepared otherwise than those that the model was trained on "
        f"({trained}; now {now})"
    ]


def _asked(
    before: Preparation, reference: str | None, align: bool | None, strip: str | None
) -> Preparation:
    how: Align = before.align if align is None else "rigid" if align else "none"
    wanted = Preparation(
        before.reference if reference is None else canonical_modality(reference),
        how,
        before.strip if strip is None else strip.strip() or NO_STRIPPER,
    )
    check_preparation(wanted)
    return wanted
