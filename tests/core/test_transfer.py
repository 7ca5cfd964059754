"""A transfer's plan is what adapt does: what is kept is bit-equal, what is new is reported."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mriseg.core.ops import PURE
from mriseg.core.segnet import (
    BLOCKS,
    DECODER,
    ENCODER,
    FIRST_CONV,
    SegNet,
    SegNetConfig,
    build,
    init_weights_,
)
from mriseg.core.transfer import Shape, TransferPlan, adapt, frozen_blocks, plan, unlearnt
from mriseg.errors import ConfigError

THREE = ("T1", "FLAIR", "T1CE")
HEAD = ("head.weight", "head.bias")


def a_shape(
    modalities: tuple[str, ...] = THREE, regions: tuple[str, ...] = ("WT",), width: int = 8
) -> Shape:
    return Shape(modalities, regions, width)


def a_model(shape: Shape, state: dict[str, Tensor] | None = None) -> SegNet:
    config = SegNetConfig(
        in_channels=len(shape.modalities), classes=len(shape.regions), width=shape.width
    )
    model = init_weights_(build(config, PURE), torch.Generator().manual_seed(7))
    if state is not None:
        model.load_state_dict(state)
    return model.eval()


def a_source(shape: Shape) -> dict[str, Tensor]:
    """A state as training leaves it: nothing in it is what a fresh network has."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.rand(tensor.shape, generator=generator).add(0.1)
        if tensor.is_floating_point()
        else tensor + 9
        for name, tensor in a_model(shape).state_dict().items()
    }


def adapted(
    transfer: TransferPlan, state: dict[str, Tensor], prior: float | None = 0.1
) -> dict[str, Tensor]:
    return adapt(transfer, state, torch.Generator().manual_seed(3), prior)


def test_the_same_task_keeps_everything() -> None:
    state = a_source(a_shape())
    transfer = plan(a_shape(), a_shape(), "none")
    weights = adapted(transfer, state)
    assert transfer.count("kept") == len(state) == len(weights)
    assert all(torch.equal(weights[name], state[name]) for name in state)
    # Copies: training the new network must not change the old one's.
    assert all(weights[name].data_ptr() != state[name].data_ptr() for name in state)


def test_what_is_kept_is_bit_equal_and_the_rest_is_reported() -> None:
    source, target = a_shape(), a_shape(("T1", "PD"), ("lesion",))
    state = a_source(source)
    transfer = plan(source, target, "encoder")
    weights = adapted(transfer, state)
    planned = {tensor.name: tensor for tensor in transfer.tensors}
    assert list(planned) == list(weights) == list(a_model(target).state_dict())
    for name, tensor in weights.items():
        kept = planned[name].action == "kept"
        assert kept == (tensor.shape == state[name].shape and torch.equal(tensor, state[name]))
        assert planned[name].frozen == name.startswith("encoder.")
    assert {n for n, t in planned.items() if t.action == "adapted"} == {FIRST_CONV}
    assert {n for n, t in planned.items() if t.action == "new"} == set(HEAD)
    assert (transfer.count("kept"), transfer.count("adapted"), transfer.count("new")) == (
        len(planned) - 3,
        1,
        2,
    )
    assert "PD from T1+FLAIR+T1CE" in planned[FIRST_CONV].how
    a_model(target, weights)


def test_the_given_state_is_not_modified() -> None:
    state = a_source(a_shape())
    before = {name: tensor.clone() for name, tensor in state.items()}
    adapted(plan(a_shape(), a_shape(("FLAIR", "T2"), ("a", "WT")), "none"), state)
    assert all(torch.equal(state[name], before[name]) for name in state)


@settings(max_examples=10)
@given(st.permutations(THREE), st.permutations(("WT", "TC", "ET")))
def test_permuted_modalities_and_regions_give_permuted_output(
    modalities: list[str], regions: list[str]
) -> None:
    source = a_shape(THREE, ("WT", "TC", "ET"))
    target = a_shape(tuple(modalities), tuple(regions))
    state = a_model(source).state_dict()
    weights = adapted(plan(source, target, "none"), state)
    image = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    turned = image[:, [THREE.index(name) for name in modalities]]
    with torch.no_grad():
        expected = a_model(source, state)(image)
        result = a_model(target, weights)(turned)
    rows = [source.regions.index(name) for name in regions]
    torch.testing.assert_close(result, expected[:, rows], rtol=1e-4, atol=1e-4)


def test_one_modality_of_three_is_taken_by_its_name() -> None:
    state = a_source(a_shape())
    weights = adapted(plan(a_shape(), a_shape(("FLAIR",)), "none"), state)
    assert torch.equal(weights[FIRST_CONV], state[FIRST_CONV][:, 1:2])


def test_a_new_modality_starts_from_the_nearest_contrast() -> None:
    state = a_source(a_shape())
    transfer = plan(a_shape(), a_shape(("T2",)), "none")
    assert torch.equal(adapted(transfer, state)[FIRST_CONV], state[FIRST_CONV][:, 1:2])
    assert transfer.inputs == (((1, 1.0),),)


def test_the_nearest_is_not_taken_twice() -> None:
    state = a_source(a_shape())
    kernels = adapted(plan(a_shape(), a_shape(("FLAIR", "T2")), "none"), state)[FIRST_CONV]
    assert torch.equal(kernels[:, 0], state[FIRST_CONV][:, 1])
    torch.testing.assert_close(kernels[:, 1], state[FIRST_CONV].mean(dim=1))


@pytest.mark.parametrize("target", [("CT",), ("CT", "PET"), ("a", "b", "c", "d")])
def test_unknown_modalities_keep_the_sum_over_channels(target: tuple[str, ...]) -> None:
    state = a_source(a_shape())
    kernels = adapted(plan(a_shape(), a_shape(target), "none"), state)[FIRST_CONV]
    assert kernels.shape[1] == len(target)
    torch.testing.assert_close(kernels.sum(dim=1), state[FIRST_CONV].sum(dim=1))


def test_a_region_of_the_same_name_keeps_its_channel() -> None:
    source, target = a_shape(regions=("WT", "ET")), a_shape(regions=("lesion", "ET"))
    state = a_source(source)
    transfer = plan(source, target, "none")
    weights = adapted(transfer, state)
    for name in HEAD:
        assert torch.equal(weights[name][1], state[name][1])
        assert not torch.equal(weights[name][0], state[name][0])
    assert transfer.outputs == (None, 1)
    (description,) = {tensor.how for tensor in transfer.tensors if tensor.name in HEAD}
    assert "ET kept" in description and "new for lesion" in description


def test_a_new_head_is_new_and_starts_at_the_prior() -> None:
    state = a_source(a_shape())
    transfer = plan(a_shape(), a_shape(), "none", new_head=True)
    weights = adapted(transfer, state, prior=0.01)
    assert transfer.count("new") == 2
    assert not torch.equal(weights["head.weight"], state["head.weight"])
    assert torch.sigmoid(weights["head.bias"]).tolist() == pytest.approx([0.01])


@pytest.mark.parametrize("adapt_norm", [False, True])
def test_an_encoder_alone_may_be_transferred(adapt_norm: bool) -> None:
    """Its tensors are bit-equal; decoder and head are as in a fresh network, regions or not."""
    state = a_source(a_shape())
    transfer = plan(a_shape(), a_shape(), "none", transfer_part="encoder", adapt_norm=adapt_norm)
    weights = adapted(transfer, state)
    fresh = a_model(a_shape()).state_dict()
    for tensor in transfer.tensors:
        of_encoder = tensor.name.startswith("encoder")
        assert (tensor.action != "new") == of_encoder, tensor.name
        if of_encoder:
            assert torch.equal(weights[tensor.name], state[tensor.name])
        elif "norm" in tensor.name:
            assert torch.equal(weights[tensor.name], fresh[tensor.name])
        else:
            assert not torch.equal(weights[tensor.name], state[tensor.name])
    assert all(name.startswith("encoder") for name in transfer.carried) and transfer.carried


def test_the_generator_decides_what_is_new() -> None:
    state = a_source(a_shape())
    transfer = plan(a_shape(), a_shape(regions=("lesion",)), "none")
    one, same = adapted(transfer, state), adapted(transfer, state)
    other = adapt(transfer, state, torch.Generator().manual_seed(4), 0.1)
    assert torch.equal(one["head.weight"], same["head.weight"])
    assert not torch.equal(one["head.weight"], other["head.weight"])


@pytest.mark.parametrize(
    ("policy", "blocks"),
    [
        ("none", ()),
        ("encoder", ENCODER),
        ("encoder:2", ENCODER[:2]),
        ("all-but-head", (*ENCODER, *DECODER)),
        ("all-but-first", (*ENCODER[1:], *DECODER, "head")),
    ],
)
def test_policies_name_blocks(policy: str, blocks: tuple[str, ...]) -> None:
    assert frozen_blocks(policy) == blocks
    assert set(blocks) <= set(BLOCKS)
    transfer = plan(a_shape(), a_shape(), policy)
    assert transfer.frozen == blocks
    assert {t.name for t in transfer.tensors if t.frozen} == {
        t.name for t in transfer.tensors if t.name.startswith(tuple(f"{s}." for s in blocks))
    }


def test_a_frozen_head_must_have_every_region() -> None:
    target = a_shape(("T2",), ("WT", "lesion"))
    with pytest.raises(ConfigError, match=r"lesion would be new in it \(the source segments WT\)"):
        plan(a_shape(), target, "all-but-first")
    with pytest.raises(ConfigError, match="WT would be new"):
        plan(a_shape(), a_shape(), "all-but-first", new_head=True)
    transfer = plan(a_shape(), a_shape(("T2",)), "all-but-first")
    assert {t.name for t in transfer.tensors if t.action != "kept"} == {FIRST_CONV}


def test_parameters_with_the_source_s_values_are_carried() -> None:
    state = a_source(a_shape())
    transfer = plan(a_shape(), a_shape(("T2",), ("lesion", "WT")), "none", adapt_norm=True)
    named = [name for name, _ in a_model(transfer.target).named_parameters()]
    assert list(transfer.carried) == [name for name in named if name not in HEAD]
    weights = adapted(transfer, state)
    for name in weights:
        if name not in (*HEAD, FIRST_CONV):
            assert torch.equal(weights[name], state[name]), name
    assert {t.name for t in transfer.tensors if "re-estimated" in t.how} == {
        name for name in weights if "running" in name or "tracked" in name
    }
    assert all(t.action == "adapted" for t in transfer.tensors if "re-estimated" in t.how)
    assert set(HEAD) < set(plan(a_shape(), a_shape(), "none").carried)


@pytest.mark.parametrize("policy", ["encoder", "all-but-first"])
def test_the_control_has_the_shapes_and_the_freezing_and_nothing_learnt(policy: str) -> None:
    source, target = a_shape(), a_shape(("T1", "PD"))
    transfer = plan(source, target, policy)
    control = unlearnt(transfer)
    assert control.frozen == transfer.frozen and not control.carried
    assert [(t.name, t.frozen) for t in control.tensors] == [
        (t.name, t.frozen) for t in transfer.tensors
    ]
    assert control.count("new") == len(control.tensors)
    weights = adapted(control, a_source(source))
    nothing = adapted(control, {})
    assert all(torch.equal(weights[name], nothing[name]) for name in weights)
    # What is new in both is the same draw.
    other = plan(source, target, "encoder", new_head=True)
    assert torch.equal(weights["head.weight"], adapted(other, a_source(source))["head.weight"])
    a_model(target, weights)


def test_another_width_is_reported() -> None:
    with pytest.raises(ConfigError, match="width 8 and the target 16"):
        plan(a_shape(), a_shape(width=16), "none")
    with pytest.raises(ConfigError, match="all-but-head"):
        plan(a_shape(), a_shape(), "some")


def test_the_report_is_json_and_counts_what_is_listed() -> None:
    transfer = plan(a_shape(), a_shape(("T1",), ("lesion",)), "encoder:3")
    report = json.loads(json.dumps(transfer.to_json()))
    assert report["source"] == {"modalities": list(THREE), "regions": ["WT"], "width": 8}
    assert report["frozen"] == list(ENCODER[:3])
    for action, count in report["counts"].items():
        assert count == sum(tensor["action"] == action for tensor in report["tensors"])
    assert sum(report["counts"].values()) == len(report["tensors"])
