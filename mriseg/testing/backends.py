"""What every backend promises. A new one inherits the suite and names itself; nothing else."""

from __future__ import annotations

import copy
import os

import pytest
import torch
from torch import Tensor, nn

from mriseg.backends import BACKENDS, Backend, describe, select
from mriseg.backends.fallback import Manner, probe
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_

EXPECTED = "MRISEG_EXPECT"
"""The variable that names a backend whose tests must not be skipped, as where there is one for
certain."""

_CONFIG = SegNetConfig(in_channels=3, classes=2, width=8)


def _model(backend: Backend) -> SegNet:
    model = build(_CONFIG, backend.ops)
    return backend.place_model(init_weights_(model, torch.Generator().manual_seed(0)))


def _batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 45, 64, generator=generator)
    return image, (image[:, :2] > 0.5).to(torch.uint8)


def _train(backend: Backend, steps: int = 3) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of a few steps of descent, and the weights after them, on the CPU."""
    model = _model(backend).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    image, target = (backend.place(tensor) for tensor in _batch())
    losses = []
    with backend.running():
        for _ in range(steps):
            optimizer.zero_grad()
            with backend.autocast():
                logits = model(image)
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), target.float())
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(backend.collect(loss).item())
    return losses, {name: backend.collect(tensor) for name, tensor in model.state_dict().items()}


def _global_state() -> tuple[object, ...]:
    return (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.backends.cudnn.benchmark,
        torch.get_rng_state().tolist(),
    )


class BackendContract:
    """What `mriseg.backends` promises of a device.

    Where the machine lacks the device, all tests are skipped but the one that asks why; they fail
    where `EXPECTED` names it.

    Attributes:
        name: of the backend under test, which must be registered; a subclass gives it.
    """

    name: str

    @pytest.fixture
    def device_present(self) -> None:
        """Skips a test where the machine lacks the device."""
        ok, why = BACKENDS[self.name].probe()
        if not ok and os.environ.get(EXPECTED) == self.name:
            pytest.fail(f"{EXPECTED}={self.name}, and this machine has none: {why}")
        if not ok:
            pytest.skip(f"this machine has no {self.name}: {why}")

    @pytest.fixture
    def backend(self, device_present: None) -> Backend:
        """The backend as a user gets it."""
        return select(self.name)

    @pytest.fixture
    def exact(self, device_present: None) -> Backend:
        """The backend in float32, deterministic."""
        return select(self.name, precision="fp32", deterministic=True)

    def test_a_probe_says_why_not(self) -> None:
        ok, why = BACKENDS[self.name].probe()
        assert ok is (why == "")

    def test_it_says_what_it_is(self, backend: Backend) -> None:
        assert backend.name == self.name
        assert backend.reason and backend.device_name
        assert all(backend.notes)
        assert describe(backend)["un-pooling"] == backend.ops.name

    def test_choosing_it_changes_nothing_for_others(self, device_present: None) -> None:
        before = _global_state()
        select(self.name)
        select(self.name, deterministic=True)
        assert _global_state() == before

    @pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64, torch.bool])
    @pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5)], ids=str)
    def test_what_is_placed_and_collected_is_unchanged(
        self, backend: Backend, dtype: torch.dtype, shape: tuple[int, ...]
    ) -> None:
        generator = torch.Generator().manual_seed(2)
        tensor = torch.randint(0, 2, shape, generator=generator).to(dtype)
        placed = backend.place(tensor)
        assert placed.device.type == backend.device.type
        if placed.ndim == 4:
            assert placed.is_contiguous(memory_format=backend.memory_format)
        collected = backend.collect(placed)
        assert collected.device.type == "cpu" and collected.dtype == dtype
        assert torch.equal(collected, tensor)

    def test_what_is_collected_is_float32_and_has_no_history(self, backend: Backend) -> None:
        tensor = backend.place(torch.ones(3)).to(backend.dtype).requires_grad_()
        collected = backend.collect(tensor * 2)
        assert collected.dtype == torch.float32 and not collected.requires_grad
        backend.synchronize()

    def test_its_unpooling_is_right_in_its_own_manner(self, backend: Backend) -> None:
        manner = Manner(backend.device, backend.dtype, backend.memory_format)
        assert probe(backend.ops, manner).reason == ""

    def test_a_placed_model_keeps_its_weights(self, backend: Backend) -> None:
        model = init_weights_(build(_CONFIG, backend.ops), torch.Generator().manual_seed(0))
        before = copy.deepcopy(model.state_dict())
        placed = backend.place_model(model)
        assert all(p.device.type == backend.device.type for p in placed.parameters())
        for name, tensor in placed.state_dict().items():
            assert torch.equal(tensor.cpu(), before[name]), name

    def test_float32_gives_the_plain_cpus_logits(self, exact: Backend) -> None:
        plain = init_weights_(build(_CONFIG, PURE), torch.Generator().manual_seed(0)).eval()
        image, _ = _batch()
        with torch.no_grad():
            expected = plain(image)
            with exact.running(), exact.autocast():
                logits = exact.collect(_model(exact).eval()(exact.place(image)))
        torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)

    def test_its_own_precision_is_near(self, backend: Backend, exact: Backend) -> None:
        losses, _ = _train(backend)
        expected, _ = _train(exact)
        assert losses == pytest.approx(expected, rel=0.05)
        assert losses[-1] < losses[0]

    def test_deterministic_is_the_same_to_the_bit(self, device_present: None) -> None:
        backend = select(self.name, deterministic=True)
        first, again = _train(backend), _train(backend)
        assert first[0] == again[0]
        assert all(torch.equal(first[1][name], again[1][name]) for name in first[1])

    def test_running_sets_back_what_it_set(self, exact: Backend) -> None:
        before = _global_state()
        with pytest.raises(ZeroDivisionError), exact.running():
            assert torch.are_deterministic_algorithms_enabled()
            raise ZeroDivisionError
        assert _global_state() == before
