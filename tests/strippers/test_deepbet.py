"""deepbet is held to the contract, and what its library throws is said in a sentence."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from mriseg.core.orientation import geometry_of
from mriseg.errors import InputError
from mriseg.strippers import deepbet
from mriseg.testing import StripperContract


@pytest.mark.slow
class TestDeepbet(StripperContract):
    stripper = deepbet.STRIPPER

    def test_noise_is_no_brain_or_one_that_is_looked_at(self, installed: None) -> None:
        scan = np.random.default_rng(0).normal(size=(64, 64, 64))
        geometry = geometry_of(scan.shape, np.diag([3.0, 3.0, 3.0, 1.0]))
        try:
            assert self.stripper.brain(scan, geometry, "T1").any()
        except InputError as error:
            assert "no brain" in str(error)


class Extraction:
    """Stands in for the library's object, whose weights take seconds."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.box = error, None

    def run_model(self, scan: np.ndarray) -> np.ndarray:
        self.box = scan.shape
        if self.error:
            raise self.error
        return (scan > 0.5).astype(np.float32)


def scan_of(x: slice) -> tuple[np.ndarray, Any]:
    scan = np.zeros((30, 20, 20))
    scan[x, 5:15, 5:15] = 1
    return scan, geometry_of(scan.shape, np.diag([-5.0, 5.0, 5.0, 1.0]))


def test_its_mask_is_on_the_scans_own_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Extraction()
    monkeypatch.setattr(deepbet, "_extraction", lambda: shared)
    scan, geometry = scan_of(slice(3, 12))
    assert np.array_equal(deepbet.STRIPPER.brain(scan, geometry, "T1"), scan > 0)
    # Two threads must not meet in what an object keeps of its last scan.
    assert shared.box is None


@pytest.mark.parametrize(
    "error", [AssertionError("Not enough foreground"), ValueError("argmax of an empty sequence")]
)
def test_a_head_in_which_it_marks_nothing_is_said_to_show_no_brain(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(deepbet, "_extraction", lambda: Extraction(error))
    with pytest.raises(InputError, match="no brain is visible"):
        deepbet.STRIPPER.brain(*scan_of(slice(3, 12)), "T1")


@pytest.mark.slow
def test_it_draws_no_window_and_asks_no_network() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*given): raise OSError('no network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from mriseg.strippers.deepbet import _extraction\n"
        "_extraction()\n"
        "print('customtkinter' in sys.modules, 'tkinter' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "False False\n", done.stderr
