"""SegNet: its shape against VGG16's, sizes, weights from a generator alone, freezing, export."""

from __future__ import annotations

import copy
import io
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mriseg.core.ops import FORMS, NATIVE, PURE, SCATTER, Ops
from mriseg.core.segnet import (
    BLOCKS,
    DECODER,
    ENCODER,
    FIRST_CONV,
    HEAD,
    ConvNormReLU,
    SegNet,
    SegNetConfig,
    block_modules,
    block_of,
    build,
    freeze_,
    init_weights_,
)
from mriseg.errors import ConfigError, InputError

SMALL = SegNetConfig(in_channels=2, classes=3, width=8)


def a_model(config: SegNetConfig = SMALL, ops: Ops = NATIVE, seed: int = 0) -> SegNet:
    return init_weights_(build(config, ops), torch.Generator().manual_seed(seed))


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def a_batch(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_papers_network() -> None:
    # VGG16's thirteen convolutions have 14,714,688 parameters with RGB in (Simonyan and Zisserman
    # 2014, table 2 less the dense layers); batch normalisation adds two per channel, 8448.
    model = build(SegNetConfig(in_channels=3, classes=12), NATIVE)
    assert parameters(*(model.get_submodule(block) for block in ENCODER)) == 14_714_688 + 8448
    # The paper gives 29.45 M for 11 classes plus one.
    assert parameters(model) == pytest.approx(29.45e6, rel=0.001)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 26
    assert all(m.kernel_size == (3, 3) and m.bias is not None for m in convolutions)


def test_blocks_name_every_parameter_once_and_in_order() -> None:
    model = build(SMALL, NATIVE)
    names = list(model.state_dict())
    order = [BLOCKS.index(block_of(name)) for name in names]
    assert order == sorted(order)
    assert set(order) == set(range(len(BLOCKS)))
    assert list(block_modules(model)) == [*ENCODER, *DECODER, HEAD]
    assert names[0] == FIRST_CONV
    by_channels = build(SMALL.model_copy(update={"in_channels": 5}), NATIVE).state_dict()
    differ = [n for n, t in model.state_dict().items() if t.shape != by_channels[n].shape]
    assert differ == [FIRST_CONV]


@settings(max_examples=12)
@given(
    batch=st.integers(1, 2),
    height=st.integers(32, 70),
    width=st.integers(32, 70),
    ops=st.sampled_from(FORMS),
)
def test_logits_have_the_slices_size(batch: int, height: int, width: int, ops: Ops) -> None:
    model = a_model(ops=ops).eval()
    assert model(a_batch(batch, 2, height, width)).shape == (batch, 3, height, width)


def test_the_encoder_gives_features_and_where_the_maxima_were() -> None:
    model = a_model().eval()
    features, codes, sizes = model.encode(a_batch(2, 2, 70, 65))
    assert features.shape == (2, 8 * SMALL.width, 2, 2)
    assert sizes == [(70, 65), (35, 32), (17, 16), (8, 8), (4, 4)]
    assert [tuple(code.shape[2:]) for code in codes] == [(h // 2, w // 2) for h, w in sizes]


def test_a_slice_of_240_pixels_is_pooled_to_15_and_7() -> None:
    model = a_model().eval()
    seen = []
    for block in ENCODER:
        model.get_submodule(block).register_forward_hook(lambda m, i, o: seen.append(o.shape[2]))
    assert model(a_batch(1, 2, 240, 240)).shape == (1, 3, 240, 240)
    assert seen == [240, 120, 60, 30, 15]


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (1, 1)])
def test_too_small_a_slice_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]} is too small.*32 x 32"):
        a_model()(a_batch(1, 2, *size))


def test_the_form_of_the_ops_changes_nothing() -> None:
    gradients, logits = [], []
    for ops in FORMS:
        model = a_model().train()
        model.set_ops(ops)
        assert model.ops is ops
        out = model(a_batch(2, 2, 45, 37))
        out.square().mean().backward()
        logits.append(out.detach())
        gradients.append(model.get_parameter(FIRST_CONV).grad)
    for other in (1, 2):
        assert torch.equal(logits[0], logits[other])
        torch.testing.assert_close(gradients[0], gradients[other], rtol=1e-5, atol=1e-7)


def test_slices_of_a_batch_are_independent_in_evaluation() -> None:
    model = a_model().eval()
    batch = a_batch(3, 2, 40, 40)
    together = model(batch)
    for index in range(3):
        alone = model(batch[index : index + 1])[0]
        torch.testing.assert_close(together[index], alone, rtol=1e-4, atol=1e-5)


def test_nothing_is_drawn_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    model = a_model()
    model(a_batch(1, 2, 32, 32))
    copy.deepcopy(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_without_weights_is_zero_and_not_garbage() -> None:
    for name, tensor in build(SMALL, NATIVE).state_dict().items():
        expected = 1 if name.endswith(("norm.weight", "running_var")) else 0
        assert (tensor == expected).all(), name


def test_a_generator_decides_the_weights() -> None:
    first, same, other = (a_model(seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first[FIRST_CONV], other[FIRST_CONV])


def test_weights_are_he_normal() -> None:
    state = a_model(SegNetConfig(in_channels=4, classes=1, width=16)).state_dict()
    for name in ("encoder.4.1.conv.weight", "decoder.4.0.conv.weight"):
        weight = state[name]
        deviation = math.sqrt(2 / (weight.shape[1] * 9))
        assert weight.std().item() == pytest.approx(deviation, rel=0.02)
        assert abs(weight.mean().item()) < 0.02 * deviation
    assert not any(t.any() for n, t in state.items() if n.endswith(("conv.bias", "head.bias")))


def test_a_prior_is_the_first_probability() -> None:
    model = init_weights_(build(SMALL, NATIVE), torch.Generator().manual_seed(0), prior=0.02)
    assert torch.sigmoid(model.head.bias).tolist() == pytest.approx([0.02] * 3)


@pytest.mark.parametrize("prior", [0.0, 1.0, -1.0, math.nan])
def test_a_prior_is_a_fraction(prior: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        init_weights_(build(SMALL, NATIVE), torch.Generator(), prior=prior)


@pytest.mark.parametrize(
    "wrong",
    [{"in_channels": 0}, {"classes": 0}, {"width": 12}, {"width": 0}, {"dropout": 1}, {"depth": 5}],
)
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SegNetConfig(**{"in_channels": 1, "classes": 1, **wrong})


def test_dropout_acts_in_training_alone() -> None:
    config = SMALL.model_copy(update={"dropout": 0.5})
    model, slices = a_model(config), a_batch(1, 2, 64, 64)
    plain = a_model()
    assert list(model.state_dict()) == list(plain.state_dict())
    assert torch.equal(model.eval()(slices), plain.eval()(slices))
    dropped: list[int] = []
    model.dropout.register_forward_hook(lambda m, i, o: dropped.append(o.shape[2]))
    assert not torch.equal(model.train()(slices), plain.train()(slices))
    # After the three deepest poolings, and after the three deepest decoders.
    assert dropped == [8, 4, 2, 4, 8, 16]


def a_step(model: SegNet) -> None:
    """One step of descent on a random batch."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1, weight_decay=0.1)
    model(a_batch(2, 2, 32, 32, seed=9)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("blocks", [ENCODER, ENCODER[:2], (*ENCODER, *DECODER), ()])
def test_frozen_blocks_do_not_change_even_after_train(blocks: tuple[str, ...]) -> None:
    model = freeze_(a_model().train(), blocks)
    before = copy.deepcopy(model.state_dict())
    model.eval()
    model.train()
    a_step(model)
    for name, tensor in model.state_dict().items():
        if block_of(name) in blocks:
            assert torch.equal(tensor, before[name]), name
        elif name.endswith(("running_mean", "num_batches_tracked", "conv.weight", "head.weight")):
            assert not torch.equal(tensor, before[name]), name


def test_freezing_nothing_unfreezes() -> None:
    model = freeze_(freeze_(a_model().train(), ENCODER), ())
    assert all(p.requires_grad for p in model.parameters())
    assert all(m.training for m in model.modules())


def test_freezing_keeps_the_mode_and_stops_gradients() -> None:
    model = freeze_(a_model().eval(), ENCODER)
    assert not any(m.training for m in model.modules())
    trained = {block_of(name) for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {*DECODER, HEAD}


def test_a_copy_stays_frozen() -> None:
    model = copy.deepcopy(freeze_(a_model(), ENCODER)).train()
    assert not model.get_submodule("encoder.1").training


def test_an_unknown_block_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no block 'encoder.6'; its blocks are encoder.1"):
        freeze_(a_model(), ["encoder.6"])
    with pytest.raises(ConfigError, match="in no block"):
        block_of("classifier.weight")


def test_it_learns() -> None:
    model = a_model(SegNetConfig(in_channels=1, classes=1, width=8)).train()
    slices = torch.zeros(2, 1, 32, 32)
    slices[0, :, 5:20, 9:22], slices[1, :, 14:30, 3:12] = 1, 1
    truth = (slices > 0).float()
    slices += 0.1 * a_batch(2, 1, 32, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(slices), truth)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("ops", FORMS, ids=lambda ops: ops.name)
def test_bfloat16_autocast_trains(ops: Ops, memory_format: torch.memory_format) -> None:
    model = a_model(ops=ops).to(memory_format=memory_format).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(a_batch(2, 2, 37, 50).to(memory_format=memory_format))
    logits.float().square().mean().backward()
    for name, parameter in model.named_parameters():
        if name.endswith("conv.bias"):
            assert parameter.grad is None  # batch normalisation takes it away again
        else:
            assert parameter.grad is not None and parameter.grad.isfinite().all()


def test_a_bias_before_batch_normalisation_has_no_gradient_to_lose() -> None:
    # In float64, with the gradient that PyTorch's own convolution would compute.
    layer = ConvNormReLU(2, 8).double().train()
    plain = copy.deepcopy(layer)
    plain.conv = nn.Conv2d(2, 8, 3, padding=1, dtype=torch.float64)
    plain.conv.load_state_dict(layer.conv.state_dict())
    image = a_batch(2, 2, 9, 12).double()
    outputs = []
    for each in (layer, plain):
        out = each(image)
        outputs.append(out)
        (out * image[:, :1]).sum().backward()
    assert torch.equal(*outputs)
    for name, parameter in plain.named_parameters():
        own = layer.get_parameter(name).grad
        if name == "conv.bias":
            assert own is None and parameter.grad.abs().max() < 1e-12
        else:
            assert torch.equal(own, parameter.grad)
    # The running statistics are of the result with its bias, which folding relies on.
    assert torch.equal(layer.norm.running_mean, plain.norm.running_mean)


def test_a_bias_has_its_gradient_where_statistics_are_fixed() -> None:
    layer = ConvNormReLU(2, 8).eval()
    layer(a_batch(2, 2, 9, 12)).sum().backward()
    assert layer.conv.bias.grad is not None


@pytest.mark.parametrize(
    ("ops", "how"),
    [
        (NATIVE, "script"),
        (SCATTER, "script"),
        (PURE, "script"),
        (SCATTER, "trace"),
        (PURE, "trace"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_torchscript_keeps_sizes_and_batch_free(ops: Ops, how: str) -> None:
    model = a_model(ops=ops).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        # A trace that had kept its slice's size would say so.
        warnings.simplefilter("error", torch.jit.TracerWarning)
        if how == "script":
            compiled = torch.jit.script(model)
        else:
            compiled = torch.jit.trace(model, a_batch(2, 2, 64, 64))
        file = io.BytesIO()
        torch.jit.save(compiled, file)
        file.seek(0)
        loaded = torch.jit.load(file)
        for shape in ((1, 2, 64, 64), (3, 2, 45, 70)):
            slices = a_batch(*shape)
            torch.testing.assert_close(loaded(slices), model(slices))
