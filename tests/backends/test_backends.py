"""The choice among the backends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mriseg.backends import BACKENDS, available, describe, reference_backend, select
from mriseg.errors import BackendError, ConfigError, UnknownNameError

# The choice.


def test_every_backend_is_under_the_contract() -> None:
    names = set()
    for name in BACKENDS:
        suite = (Path(__file__).parent / f"test_{name}.py").read_text(encoding="utf-8")
        names |= set(re.findall(r'\(BackendContract\):\n    name = "(\w+)"', suite))
    assert names == set(BACKENDS)


def test_auto_prefers_any_gpu_to_the_cpu_and_says_what_it_passed_over() -> None:
    order = ["cuda", "mps", "cpu"]
    usable = {entry.name for entry in available() if entry.ok}
    expected = next(name for name in order if name in usable)
    backend = select()
    assert backend.name == expected
    for passed_over in order[: order.index(expected)]:
        assert f"no {passed_over.upper()} (" in backend.reason


@pytest.mark.parametrize("name", ["mps", "cuda"])
def test_an_absent_device_is_an_error_that_names_what_there_is(name: str) -> None:
    ok, why = BACKENDS[name].probe()
    if ok:
        pytest.skip(f"there is a {name} device here")
    with pytest.raises(BackendError) as caught:
        select(name)
    message = str(caught.value)
    assert message.startswith(f"there is no {name.upper()} device here ({why}); available: ")
    assert "cpu" in message and message.endswith("Use --backend auto or cpu")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="known: cpu, cuda, mps"):
        select("tpu")
    with pytest.raises(ConfigError, match="'fp8': expected auto, fp32, tf32, bf16, fp16"):
        select(precision="fp8")


@pytest.mark.parametrize("name", ["gpu", "GPU"])
def test_gpu_is_two_backends_and_never_the_cpu(name: str) -> None:
    with pytest.raises(ConfigError, match=r"choose cuda \(NVIDIA, AMD\) or mps \(Mac\)") as caught:
        select(name)
    assert "cpu" not in str(caught.value)


def test_a_backend_says_how_it_computes_and_why() -> None:
    decided = {d.what: d for d in select("cpu").decisions}
    assert {
        "precision",
        "memory format",
        "threads",
        "freed memory",
        "pooling",
        "un-pooling",
        "torch.compile",
    } <= set(decided)
    assert all(d.how and d.why for d in decided.values())


def test_a_description_is_json() -> None:
    described = describe(select("cpu", precision="fp32"))
    assert json.loads(json.dumps(described)) == described
    assert described["precision"] == "float32" and described["memory format"] == "channels_last"


def test_importing_and_listing_changes_nothing_and_loads_no_backend() -> None:
    script = """
import os, sys
import torch
before = dict(os.environ), torch.get_rng_state().tolist(), torch.get_num_threads()
import mriseg.backends
assert not {f"mriseg.backends.{name}" for name in ("cpu", "cuda", "mps")} & set(sys.modules)
mriseg.backends.available(), mriseg.backends.select()
assert before == (dict(os.environ), torch.get_rng_state().tolist(), torch.get_num_threads())
assert "PYTORCH_ENABLE_MPS_FALLBACK" not in os.environ
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_reference_is_the_cpu_in_float32_and_contiguous() -> None:
    backend = reference_backend()
    assert backend.device.type == "cpu"
    assert backend.dtype == torch.float32
    assert backend.memory_format == torch.contiguous_format
