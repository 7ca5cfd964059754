"""What a device is asked besides computing: to finish, and how much memory there is.

PyTorch calls this by another name for each kind of device, so it is a value that a backend brings
along. A backend that brings none gets PyTorch's common names, ``torch.accelerator``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from mriseg.backends.machine import available_memory, peak_memory, restart_peak_memory


@dataclass(frozen=True)
class DeviceVerbs:
    """What one device answers to.

    Attributes:
        synchronize: waits until the device has done all it was given.
        free_memory: bytes of its memory that this process can still take; None: not known.
        restart_peak: lets ``peak_memory`` count from now on, and gives the bytes held now; None:
            nobody counts.
        peak_memory: the most bytes held since; None: nobody counts.
        counted: what the last two count, for people.
    """

    synchronize: Callable[[], object]
    free_memory: Callable[[], int | None]
    restart_peak: Callable[[], int | None]
    peak_memory: Callable[[], int | None]
    counted: str


def verbs_of(device: torch.device) -> DeviceVerbs:
    """What PyTorch offers for any device: the processor's, or those of ``torch.accelerator``."""
    if device.type == "cpu":
        return PROCESSOR
    return DeviceVerbs(
        synchronize=partial(_synchronize, device),
        free_memory=partial(_free, device),
        restart_peak=partial(_restart_peak, device),
        peak_memory=partial(_peak, device),
        counted="the most that tensors held on the device",
    )


def _done() -> None:
    """The processor has done what it was given when a call returns."""


def _restart_process_peak() -> int | None:
    held = restart_peak_memory()
    # Where the peak cannot be set back, what stays below an earlier one is hidden by it.
    return peak_memory() if held is None else held


PROCESSOR = DeviceVerbs(
    synchronize=_done,
    free_memory=available_memory,
    restart_peak=_restart_process_peak,
    peak_memory=peak_memory,
    counted="growth of the process",
)


def _synchronize(device: torch.device) -> None:
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is not None and accelerator.type == device.type:
        torch.accelerator.synchronize(device)
    else:
        # A copy to the processor waits for what was queued before it.
        torch.zeros(1, device=device).to("cpu")


# A device that keeps no account of its memory raises a RuntimeError; a PyTorch without the
# question an AttributeError; a device that is not this process's accelerator a ValueError.
_NO_ACCOUNT = (RuntimeError, AttributeError, ValueError)


def _free(device: torch.device) -> int | None:
    memory = torch.accelerator.memory
    try:
        free = int(memory.get_memory_info(device)[0])
        # What PyTorch's allocator holds back for later is free as well.
        return free + memory.memory_reserved(device) - memory.memory_allocated(device)
    except _NO_ACCOUNT:
        return None


def _restart_peak(device: torch.device) -> int | None:
    memory = torch.accelerator.memory
    try:
        memory.reset_peak_memory_stats(device)
        return int(memory.memory_allocated(device))
    except _NO_ACCOUNT:
        return None


def _peak(device: torch.device) -> int | None:
    try:
        return int(torch.accelerator.memory.max_memory_allocated(device))
    except _NO_ACCOUNT:
        return None
