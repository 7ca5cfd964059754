"""The last step of making any backend: find its operations, and say which they are."""

from __future__ import annotations

from typing import Any

from mriseg.backends.base import Backend, Decision
from mriseg.backends.fallback import Choice, Manner, choose


def assemble(
    name: str,
    manner: Manner,
    *,
    reason: str,
    device_name: str,
    decisions: tuple[Decision, ...],
    notes: tuple[str, ...] = (),
    **more: Any,
) -> Backend:
    """The backend that computes in ``manner``, on the first forms of operations that work there.

    Args:
        name: in the registry.
        manner: device, precision, memory format and determinism.
        reason: why it was chosen.
        device_name: the hardware, for people.
        decisions: what was decided so far; those on the operations are added.
        notes: what a user should know; what fell back is added.
        more: other fields of `mriseg.backends.base.Backend`.

    Raises:
        BackendError: no form of an operation works there.
    """
    chosen = choose(manner)
    return Backend(
        name=name,
        device=manner.device,
        dtype=manner.dtype,
        memory_format=manner.memory_format,
        ops=chosen.ops,
        reason=reason,
        notes=(*notes, *chosen.notes),
        device_name=device_name,
        deterministic=manner.deterministic,
        decisions=(*decisions, _decision(chosen.pooling), _decision(chosen.unpooling)),
        **more,
    )


def _decision(choice: Choice) -> Decision:
    failed = [f"{form} on {place}: {reason}" for form, place, reason in choice.passed_over]
    why = f"tried before: {'; '.join(failed)}" if failed else "the first that was tried works"
    return Decision(choice.op, f"{choice.form} on {choice.place}", why)
