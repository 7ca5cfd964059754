"""A backend's choice asks for the same backend elsewhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from mriseg.backends import select
from mriseg.core.choice import Choice


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_a_backend_knows_how_it_was_asked_for(precision: str) -> None:
    backend = select("cpu", precision=precision, deterministic=True)
    assert backend.choice == Choice("cpu", precision, True, "auto")


def test_one_that_was_put_together_by_hand_says_what_it_is() -> None:
    backend = replace(select("cpu", precision="fp32"), asked=None, dtype=torch.bfloat16)
    assert backend.choice == Choice("cpu", "bf16", False, backend.compile)
    assert replace(backend, dtype=torch.float32, tf32=True).choice.precision == "tf32"
    assert replace(backend, dtype=torch.float32).choice.precision == "fp32"


def test_it_loads_no_torch() -> None:
    code = "import sys, mriseg.core.choice; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
