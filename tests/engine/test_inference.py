from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mriseg.backends import Backend, pointwise, select
from mriseg.core.task import Task
from mriseg.engine import inference
from mriseg.engine.inference import fitted, probabilities, ready
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.load import load, load_model


def task_of(run: Run) -> Task:
    return load(run).task


def test_a_network_adapts_to_each_case_separately(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    model = load_model(trained, cpu)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    task = task_of(trained)
    network_for = fitted(model, cpu, task, adapt=True)
    one, other = (brats_store.read_case(name) for name in list(brats_store.cases())[:2])
    first = network_for(one).state_dict()
    assert any(not torch.equal(first[k], v) for k, v in network_for(other).state_dict().items())
    # Neither the previous case nor the shape of a batch affects the next case.
    devices = (cpu, replace(cpu, fixed_shapes=True))
    for again in (fitted(model, device, task, adapt=True)(one) for device in devices):
        assert all(torch.equal(first[k], v) for k, v in again.state_dict().items())
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("contrast", [0.7, 1.5])
def test_following_a_scan_undoes_part_of_what_a_scanner_did(
    trained: Run, cpu: Backend, brats_store: Store, contrast: float
) -> None:
    case = brats_store.read_case(next(iter(brats_store.cases())))
    task = task_of(trained)
    shifted = replace(case, image=(case.image * contrast).astype(case.image.dtype))
    off = []
    for adapt in (True, False):
        network_for = fitted(load_model(trained, cpu), cpu, task, adapt=adapt)
        outputs = [probabilities(network_for(c), cpu, c, task) for c in (case, shifted)]
        off.append(np.abs(outputs[0] - outputs[1]).mean())
    assert off[0] < 0.8 * off[1]


def test_a_case_with_nothing_in_it_has_the_network_of_all(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    case = brats_store.read_case(next(iter(brats_store.cases())))
    task = task_of(trained)
    model = load_model(trained, cpu)
    empty = fitted(model, cpu, task, adapt=True)(replace(case, image=case.image * 0))
    plain = ready(model, cpu).state_dict()
    assert all(torch.equal(plain[k], v) for k, v in empty.state_dict().items())


def test_batches_change_nothing(trained: Run, cpu: Backend, brats_store: Store) -> None:
    network = ready(load_model(trained, cpu), cpu)
    case = brats_store.read_case(trained.manifest.validation[0])
    task = task_of(trained)
    one = probabilities(network, cpu, case, task, batch_size=1)
    many = probabilities(network, cpu, case, task, batch_size=64)
    assert one.shape == (3, *case.box.shape)
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_empty_slices_hold_nothing_and_change_nothing(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    network = ready(load_model(trained, cpu), cpu)
    case = brats_store.read_case(trained.manifest.validation[0])
    task, batch_size = task_of(trained), 3
    image = case.image.copy()
    image[:, 1] = 0
    output = probabilities(network, cpu, replace(case, image=image), task, batch_size=batch_size)
    expected = probabilities(network, cpu, case, task, batch_size=batch_size)
    assert (output[:, 1] == 0).all() and (expected[:, 1] > 0).all()
    others = [z for z in range(image.shape[1]) if z != 1]
    np.testing.assert_allclose(output[:, others], expected[:, others], atol=1e-5)


def test_where_shapes_are_fixed_every_batch_has_the_same(
    trained: Run, cpu: Backend, brats_store: Store
) -> None:
    network = ready(load_model(trained, cpu), cpu)
    shapes: list[tuple[int, ...]] = []
    network.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    case = brats_store.read_case(trained.manifest.validation[0])
    task, batch_size = task_of(trained), case.image.shape[1] - 1
    free = probabilities(network, cpu, case, task, batch_size=batch_size)
    assert len(set(shapes)) == 2
    shapes.clear()
    fixed = probabilities(
        network, replace(cpu, fixed_shapes=True), case, task, batch_size=batch_size
    )
    assert len(shapes) == 2 and len(set(shapes)) == 1
    np.testing.assert_allclose(fixed, free, atol=1e-5)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_the_network_is_given_slices_at_its_own_pixel_size(
    trained: Run, cpu: Backend, brats_store: Store, batch_size: int
) -> None:
    case = brats_store.read_case(trained.manifest.validation[0])
    assert case.geometry.spacing == pytest.approx((1, 1, 1))
    h, w = case.image.shape[-2:]
    task = replace(task_of(trained), spacing=(0.5, 1.6))
    shapes = []

    class Network(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            shapes.append(tuple(image.shape))
            return 20 * image[:, :1] - 10

    task = replace(task, regions={"WT": (1,)}, frame=(32, 32))
    inside = np.asarray(case.image != 0).any(axis=0)
    flat = replace(case, image=np.broadcast_to(inside, case.image.shape).astype(np.float16))
    output = probabilities(Network(), cpu, flat, task, batch_size=batch_size)
    assert {shape[2:] for shape in shapes} == {(-(-2 * h // 32) * 32, 32)}
    assert output.shape == (1, *case.image.shape[1:])
    # The rim of the head is in doubt.
    assert ((output[0] > 0.5) != inside).sum() < 0.05 * inside.sum()
    empty = ~inside.any(axis=(1, 2))
    assert not output[0, empty].any()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_fast_form_gives_the_same_and_hides_no_nan(trained: Run, precision: str) -> None:
    backend = select("cpu", precision=precision)
    network = ready(load_model(trained, backend), backend)
    if not isinstance(network, inference._Watched):
        pytest.skip("this processor has no fast form")
    modalities = len(task_of(trained).modalities)
    image = torch.randn(2, modalities, 40, 33, generator=torch.Generator().manual_seed(0))
    image = backend.place(image)
    with torch.inference_mode(), backend.autocast():
        expected = network.sure(image)
        scale = float(expected.float().abs().max())
        close = scale * pointwise._TOLERANCE[backend.dtype] * 4
        torch.testing.assert_close(network(image), expected, rtol=0, atol=close)
        for value in (torch.nan, torch.inf, 1e38):
            marred = image.clone()
            marred[0, 0, 7, 5] = value
            logits, true = network(marred), network.sure(marred)
            torch.testing.assert_close(logits, true, rtol=0, atol=0, equal_nan=True)
            assert not network.fast(marred).isnan().any()  # as it would be
    shared = [id(parameter) for parameter in network.sure.parameters()]
    assert shared == [id(parameter) for parameter in network.fast.parameters()]


def test_weights_that_are_not_numbers_have_no_fast_form(trained: Run, cpu: Backend) -> None:
    model = load_model(trained, cpu)
    with torch.no_grad():
        model.get_parameter("encoder.3.1.conv.weight")[0, 0, 0, 0] = torch.nan
    network = ready(model, cpu)
    modalities = len(task_of(trained).modalities)
    with torch.inference_mode():
        assert network(torch.randn(1, modalities, 32, 32)).isnan().any()
