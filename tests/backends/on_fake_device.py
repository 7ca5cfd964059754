"""What holds on a device with holes; run by ``test_fake_device.py``, in processes of its own."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mriseg.backends import AUTO_ORDER, BACKENDS, Backend, available, describe, select
from mriseg.backends.assemble import assemble
from mriseg.backends.fallback import POOLING, Choice, Manner, choose
from mriseg.backends.meter import PeakMemory
from mriseg.backends.verbs import verbs_of
from mriseg.core import rng
from mriseg.core.config import TrainConfig
from mriseg.core.losses import build_loss, parse_loss
from mriseg.core.ops import FORMS, NATIVE, PURE, SCATTER, Ops
from mriseg.core.segnet import SegNetConfig, build, init_weights_
from mriseg.core.steps import train_step
from mriseg.engine import trainer
from mriseg.engine.capacity import Workload, measure
from mriseg.engine.timing import timed
from mriseg.events import Began, Event, Measured, Notice, finish
from mriseg.io import nifti
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes import fit
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import resume
from mriseg.recipes.train import train
from mriseg.testing import BackendContract, phantoms
from tests.backends.fake_device import DEVICE, FAKE, LIKE_MPS, Crossing, device

STEPS = 2
WIDTH = 8
SHAPE = (2, 3, 64, 64)
DEVICE_MANNER = Manner(DEVICE)

Crossed = Counter[tuple[str, tuple[int, ...], torch.dtype]]


@pytest.fixture(scope="session", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The backend as a package of a third party brings it: by an entry point, and nothing else."""
    site = tmp_path_factory.mktemp("site")
    info = site / "mriseg_fake-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mriseg-fake\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mriseg.backends]\nfake = tests.backends.fake_device:BACKEND\n"
    )
    sys.path.append(str(site))
    yield
    sys.path.remove(str(site))


@pytest.fixture(scope="session", autouse=True)
def one_form_of_the_optimiser() -> Iterator[None]:
    """The CPU takes steps in the form that this device takes too.

    AdamW's fused form, which PyTorch has for a CPU and not here, rounds otherwise. All else must be
    equal bit for bit. What the two forms have in common is tested in tests/engine/test_trainer.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "adamw", lambda groups, rate: torch.optim.AdamW(groups, lr=rate))
        yield


def a_few_steps(ops: Ops, place: torch.device) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of a few steps of a whole training, and the weights after them.

    What crosses between the first step's beginning and the last loss is what the device counts.
    """
    config = SegNetConfig(in_channels=SHAPE[1], classes=2, width=WIDTH)
    model = init_weights_(build(config, ops), rng.generator(0)).to(place).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss = build_loss(parse_loss("bce+dice"), torch.tensor([2.0, 3.0]).to(place))
    FAKE.forget()
    losses = []
    for step in range(STEPS):
        image = torch.randn(SHAPE, generator=rng.generator(step))
        target = (image[:, :2] > 0.5).to(torch.uint8)
        value = train_step(
            model,
            optimizer,
            loss,
            (image.to(place), target.to(place)),
            autocast=nullcontext,
            clip=0.1,
        )
        losses.append(value.to("cpu").item())
    counted = list(FAKE.crossings)
    weights = {name: tensor.detach().to("cpu") for name, tensor in model.state_dict().items()}
    FAKE.crossings[:] = counted
    return losses, weights


def levels(shape: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The shapes of each level's pooled values and of the plane they came from."""
    b, _, h, w = shape
    shapes = []
    for level, times in enumerate((1, 2, 4, 8, 8)):
        plane = (b, WIDTH * times, h >> level, w >> level)
        shapes.append(((*plane[:2], plane[2] // 2, plane[3] // 2), plane))
    return shapes


def of_unpooling(shape: tuple[int, ...], times: int, *, training: bool = True) -> Crossed:
    """What crosses if un-pooling alone is computed on the CPU."""
    forwards, backwards = Crossed(), Crossed()
    for pooled, plane in levels(shape):
        forwards["out", pooled, torch.float32] += times  # values
        forwards["out", pooled, torch.int64] += times  # indices
        forwards["in", plane, torch.float32] += times  # result
        backwards["out", plane, torch.float32] += times  # gradient of the result
        backwards["in", pooled, torch.float32] += times  # gradient of the values
    return forwards + backwards if training else forwards


def of_pooling(shape: tuple[int, ...], times: int) -> Crossed:
    """What crosses in training if pooling alone is computed on the CPU."""
    crossed = Crossed()
    for pooled, plane in levels(shape):
        crossed["out", plane, torch.float32] += times  # slice
        crossed["in", pooled, torch.float32] += times  # values
        crossed["in", pooled, torch.int64] += times  # indices
        crossed["out", pooled, torch.float32] += times  # gradient of the values
        crossed["in", plane, torch.float32] += times  # gradient of the slice
    return crossed


def crossed(crossings: Sequence[Crossing]) -> Crossed:
    return Crossed((way, shape, dtype) for way, shape, dtype, _ in crossings)


BATCH_AND_LOSS = Crossed(
    {
        ("in", SHAPE, torch.float32): STEPS,
        ("in", (2, 2, 64, 64), torch.uint8): STEPS,
        ("out", (), torch.float32): STEPS,
    }
)

UNPOOL = "max_unpool2d"
SCATTERS = (UNPOOL, "scatter")
SHUFFLES = (*SCATTERS, "pixel_shuffle")
LACKING = "NotImplementedError: The operator 'aten::{}' is not currently implemented for the FAKE"


@pytest.fixture(scope="module")
def expected() -> tuple[list[float], dict[str, Tensor]]:
    """What the CPU gives."""
    return a_few_steps(NATIVE, torch.device("cpu"))


class TestOperations:
    def trains_as_the_cpu(self, ops: Ops, expected: tuple[list[float], dict[str, Tensor]]) -> None:
        losses, weights = a_few_steps(ops, DEVICE)
        assert losses == expected[0]
        assert losses[-1] < losses[0]
        for name, tensor in weights.items():
            assert torch.equal(tensor, expected[1][name]), name

    def test_with_all_operations_only_batch_and_loss_cross(self, expected: Any) -> None:
        with device() as fake:
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops is NATIVE and chosen.notes == () and not chosen.crosses
            self.trains_as_the_cpu(chosen.ops, expected)
            assert crossed(fake.crossings) == BATCH_AND_LOSS
            assert fake.ran[UNPOOL] == 5 * STEPS

    def test_without_unpooling_scattering_takes_over_and_nothing_crosses(
        self, expected: Any
    ) -> None:
        with device(UNPOOL) as fake:
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops is SCATTER and not chosen.crosses
            assert chosen.pooling == Choice(POOLING, "native", "fake:0")
            ((form, place, reason),) = chosen.unpooling.passed_over
            assert (form, place) == ("native", "fake:0")
            assert reason.startswith(LACKING.format(UNPOOL))
            assert chosen.notes == (
                f"native un-pooling does not work on fake:0 ({reason}); scatter is used instead",
            )
            self.trains_as_the_cpu(chosen.ops, expected)
            assert crossed(fake.crossings) == BATCH_AND_LOSS
            assert fake.ran["scatter"] >= 5 * STEPS

    def test_without_scattering_too_the_pure_form_takes_over_and_nothing_crosses(
        self, expected: Any
    ) -> None:
        with device(*SCATTERS) as fake:
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops is PURE and not chosen.crosses and len(chosen.notes) == 2
            self.trains_as_the_cpu(chosen.ops, expected)
            assert crossed(fake.crossings) == BATCH_AND_LOSS
            assert not {"max_pool2d_with_indices", *SCATTERS} & set(fake.ran)

    def test_without_any_unpooling_only_its_tensors_cross(self, expected: Any) -> None:
        with device(*SHUFFLES) as fake:
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops.name == "native, un-pooling on the CPU" and chosen.crosses
            assert chosen.pooling == Choice(POOLING, "native", "fake:0")
            assert (chosen.unpooling.form, chosen.unpooling.place) == ("native", "cpu")
            assert [form for form, _, _ in chosen.unpooling.passed_over] == [f.name for f in FORMS]
            assert len(chosen.notes) == 4
            for note, form, op in zip(chosen.notes, FORMS, SHUFFLES, strict=False):
                assert note.startswith(f"{form.name} un-pooling does not work on fake:0 (")
                assert LACKING.format(op) in note
                assert note.endswith("; native on the CPU is used instead")
            assert chosen.notes[-1].startswith("the tensors of every un-pooling go to the CPU")
            self.trains_as_the_cpu(chosen.ops, expected)
            assert crossed(fake.crossings) == BATCH_AND_LOSS + of_unpooling(SHAPE, STEPS)
            assert fake.ran["max_pool2d_with_indices"] == 5 * STEPS

    def test_without_any_pooling_only_its_tensors_cross(self, expected: Any) -> None:
        with device("max_pool2d_with_indices", "isnan") as fake:
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops.name == "native, pooling on the CPU"
            assert chosen.pooling.crosses and not chosen.unpooling.crosses
            assert chosen.unpooling.passed_over == ()
            self.trains_as_the_cpu(chosen.ops, expected)
            assert crossed(fake.crossings) == BATCH_AND_LOSS + of_pooling(SHAPE, STEPS)
            assert fake.ran[UNPOOL] == 5 * STEPS

    def test_without_both_operations_both_cross_but_the_indices_do_not(self, expected: Any) -> None:
        with device("max_pool2d_with_indices", "isnan", *SHUFFLES) as fake:
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops.name == "native on the CPU"
            self.trains_as_the_cpu(chosen.ops, expected)
            both = of_unpooling(SHAPE, STEPS) + of_pooling(SHAPE, STEPS)
            but_indices = {what: n for what, n in both.items() if what[2] != torch.int64}
            assert crossed(fake.crossings) == BATCH_AND_LOSS + Crossed(but_indices)

    def test_where_either_could_cross_unpooling_does(self) -> None:
        # The native form pools but cannot un-pool, the pure form the reverse.
        with device("isnan", *SCATTERS):
            assert choose(DEVICE_MANNER).ops.name == "native, un-pooling on the CPU"

    def test_without_pooling_alone_the_pure_pair_keeps_all_on_the_device(
        self, expected: Any
    ) -> None:
        with device("max_pool2d_with_indices") as fake:
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops is PURE and not chosen.crosses
            self.trains_as_the_cpu(chosen.ops, expected)
            assert crossed(fake.crossings) == BATCH_AND_LOSS

    def test_an_operation_without_a_gradient_counts_as_missing(self) -> None:
        # The forward pass works, but the first training step would fail.
        with device("gather"):
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops is PURE
            assert LACKING.format("gather") in chosen.notes[0]

    @pytest.mark.parametrize(
        ("op", "passed_over", "what"),
        [
            (UNPOOL, ["native"], "un-pooled values"),
            ("scatter", [], ""),
            ("gather", ["native", "scatter"], "gradients"),
        ],
    )
    def test_a_wrong_kernel_is_detected(
        self, op: str, passed_over: list[str], what: str, expected: Any
    ) -> None:
        with device(wrong={op: lambda t: t * 2}):
            chosen = choose(DEVICE_MANNER)
            assert [form for form, _, _ in chosen.unpooling.passed_over] == passed_over
            for form in passed_over:
                note_start = (
                    f"{form} un-pooling does not work on fake:0 (its {what} differ from the CPU"
                )
                assert any(note.startswith(note_start) for note in chosen.notes)
            self.trains_as_the_cpu(chosen.ops, expected)

    @pytest.mark.parametrize(
        ("wrong", "what"),
        [
            ({"max_pool2d_with_indices": lambda t: t + 1}, "pooled values"),
            (
                {"max_pool2d_with_indices": lambda t: t if t.is_floating_point() else t * 0},
                "codes",
            ),
            ({"max_pool2d_with_indices_backward": lambda t: t.flip(3)}, "gradients"),
        ],
        ids=["values", "codes", "gradients"],
    )
    def test_a_wrong_pooling_is_detected(self, wrong: Any, what: str, expected: Any) -> None:
        with device(wrong=wrong):
            chosen = choose(DEVICE_MANNER)
            assert chosen.ops is PURE
            assert chosen.notes == (
                f"native pooling does not work on fake:0 (its {what} differ from the CPU's); "
                f"pure is used instead",
            )
            self.trains_as_the_cpu(chosen.ops, expected)

    def test_a_deterministic_manner_never_takes_the_native_unpooling(self) -> None:
        deterministic = replace(DEVICE_MANNER, deterministic=True)
        with device():
            assert choose(deterministic).ops is SCATTER
        with device(*SHUFFLES):
            assert choose(deterministic).ops.name == "scatter, un-pooling on the CPU"

    def test_the_device_is_like_a_real_one(self) -> None:
        """Otherwise these tests would prove nothing."""
        with device("mul", refuses=LIKE_MPS) as fake:
            x = torch.ones(1, 2, 4, 6).to(DEVICE)
            assert x.device == DEVICE and fake.crossings == [
                Crossing("in", (1, 2, 4, 6), torch.float32, "")
            ]
            with pytest.raises(NotImplementedError, match="'aten::mul' is not currently impl"):
                x * 2
            with pytest.raises(RuntimeError, match="same device"):
                x + torch.ones(6)
            with pytest.raises(TypeError, match="float64"):
                x.double()
            with pytest.raises(TypeError, match="float64"):
                torch.ones(3, dtype=torch.float64).to(DEVICE)
            with pytest.raises(RuntimeError, match="channels_last"):
                x.to(memory_format=torch.channels_last)
            with pytest.raises(RuntimeError, match="not block"):
                torch.ones(3).to(DEVICE, non_blocking=True)
            with pytest.raises(RuntimeError, match="not block"):
                x.to("cpu", non_blocking=True)
            with pytest.raises(RuntimeError, match="ceil_mode"):
                torch.nn.functional.max_pool2d(x, 2, ceil_mode=True)
            with pytest.raises(RuntimeError, match="on the device already"):
                x.copy_(torch.ones(1, 2, 4, 6))
            with pytest.raises(RuntimeError):
                torch.ones(3).pin_memory()
            fake.forget()
            assert float(x.sum()) == 48
            assert fake.crossings == [Crossing("out", (), torch.float32, "")]


class TestContract(BackendContract):
    """The contract of every backend, on one that mriseg does not know."""

    name = "fake"

    @pytest.fixture(autouse=True, params=["whole", "with holes"])
    def kind(self, request: pytest.FixtureRequest) -> Iterator[None]:
        with device(*(SHUFFLES if request.param == "with holes" else ())):
            yield

    def test_it_is_available_by_its_name_alone(self) -> None:
        assert "fake" in BACKENDS and "fake" not in AUTO_ORDER
        assert [entry.ok for entry in available() if entry.name == "fake"] == [True]
        assert select().name != "fake"

    def test_what_fell_back_is_described(self) -> None:
        with device(*SHUFFLES):
            described = describe(select("fake"))
        assert described["un-pooling"] == "native, un-pooling on the CPU"
        assert sum("does not work on fake:0" in note for note in described["notes"]) == 3


class TestVerbs:
    """A third party's device is waited for, by its own verb or PyTorch's common one."""

    def test_its_own_verb_is_reached(self) -> None:
        with device() as fake:
            select("fake").synchronize()
            assert fake.waits == 1

    def test_timing_waits_for_it(self) -> None:
        backend = select("fake")
        with device() as fake:
            seconds = list(timed(lambda: None, backend.synchronize, budget=0, least=1, most=1))
            assert len(seconds) == 1 and fake.waits >= 2
        workload = Workload(2, 1, 8, (32, 32), batch_size=2, slices=4, source="")
        with device() as fake, backend.running():
            measure(backend, workload, backend.free_memory())
            assert fake.waits >= 2

    def test_without_one_it_is_pytorchs_for_accelerators(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waited: list[torch.device] = []
        monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
        replace(select("fake"), own_verbs=None).synchronize()
        assert waited == [DEVICE]

    def test_a_device_that_is_not_the_accelerator_is_waited_for_by_a_copy(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: None)
        with device() as fake:
            verbs_of(DEVICE).synchronize()
            assert [crossing.way for crossing in fake.crossings] == ["out"]

    def test_memory_that_it_does_not_count_is_unknown(self) -> None:
        backend = select("fake")
        assert backend.free_memory() is None
        meter = PeakMemory(backend)
        assert meter.taken() is None and meter.how


# Recipes

CONFIG = TrainConfig(
    width=WIDTH, epochs=2, batch_size=4, learning_rate=1e-2, slices_per_epoch=12, validate_every=2
)
TRAINED = 6  # batches
STATISTICS = 3  # batches that the averaged network's BatchNorm sees: an epoch's
IMAGE, TARGET = (4, 3, 64, 32), (4, 2, 64, 32)
SLICES, MARKED = (16, 3, 64, 32), (16, 2, 64, 32)  # of validation and prediction
HOLES = {
    "none": (),
    "grid_sample": ("grid_sampler_2d",),
    "un-pooling": SHUFFLES,
}


@dataclass(frozen=True)
class Done:
    """A training and the prediction by it.

    Attributes:
        run: what it wrote.
        notices: the messages it reported.
        masks: case -> mask.
        trained: what crossed from the first step's beginning to the end of the training.
        predicted: what crossed in prediction.
    """

    run: Run
    notices: tuple[str, ...]
    masks: dict[str, Any]
    trained: tuple[Crossing, ...]
    predicted: tuple[Crossing, ...]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small heads and a deeper one; neither's slices fill whole batches."""
    root = tmp_path_factory.mktemp("source")
    phantoms.write_brats(root, 3, shape=(10, 48, 40))
    images, labels = phantoms.head(np.random.default_rng(7), (24, 48, 40))
    phantoms.write_brats_case(root / "BraTS20_Training_009", images, labels)
    return root


@pytest.fixture(scope="module")
def store(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("stores") / "brats.zarr"
    finish(preprocess(source, out, regions="WT,TC", workers=1))
    return open_store(out)


def do_all(source: Path, store: Store, backend: Backend, out: Path) -> Done:
    """Train, validate and predict."""
    notices: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.text)
        if isinstance(event, Began) and event.stage == "train":
            FAKE.forget()

    # What a run knows of its certainty comes from predictions, which are counted by themselves.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "end_training", lambda *_: iter(()))
        finish(train(store, CONFIG, backend, out=out / "run"), listen)
    trained = tuple(FAKE.crossings)
    FAKE.forget()
    run = open_run(out / "run")
    report = finish(
        predict(source, out / "masks", run, backend, PredictOptions(overlays=False, flips=False))
    )
    masks = {result.case: nifti.read(result.mask)[0] for result in report.results}
    return Done(run, tuple(notices), masks, trained, tuple(FAKE.crossings))


@pytest.fixture(scope="module")
def on_the_cpu(source: Path, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The CPU in float32 and contiguous, as the device computes."""
    plain = Manner(torch.device("cpu"))
    cpu = assemble("cpu", plain, reason="", device_name="", decisions=(), fixed_shapes=True)
    return do_all(source, store, cpu, tmp_path_factory.mktemp("cpu"))


@pytest.fixture(scope="module")
def on_the_device(
    source: Path, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Done]:
    """On devices that refuse all that `LIKE_MPS` names, and lack more."""
    done = {}
    for lacking, operations in HOLES.items():
        with device(*operations, refuses=LIKE_MPS):
            done[lacking] = do_all(source, store, select("fake"), tmp_path_factory.mktemp("device"))
    return done


def scores(run: Run) -> list[dict[str, float]]:
    """Losses and Dice by epoch."""
    return [
        {key: value for key, value in row.items() if key == "loss" or key.startswith("dice")}
        for row in run.read_log()
    ]


every_hole = pytest.mark.parametrize("lacking", HOLES)


class TestRecipes:
    @every_hole
    def test_training_and_validation_are_the_cpus(
        self, lacking: str, on_the_device: dict[str, Done], on_the_cpu: Done
    ) -> None:
        epochs = scores(on_the_device[lacking].run)
        assert epochs == scores(on_the_cpu.run)
        assert len(epochs) == 2 and "dice" in epochs[-1]

    @every_hole
    def test_masks_are_the_cpus(
        self, lacking: str, on_the_device: dict[str, Done], on_the_cpu: Done
    ) -> None:
        masks = on_the_device[lacking].masks
        assert len(masks) == 4 and any(mask.any() for mask in masks.values())
        for case, mask in masks.items():
            assert np.array_equal(mask, on_the_cpu.masks[case]), case

    def test_what_fell_back_is_reported(self, on_the_device: dict[str, Done]) -> None:
        fallbacks = {
            lacking: [t for t in done.notices if "does not work" in t or "cannot" in t]
            for lacking, done in on_the_device.items()
        }
        assert fallbacks["none"] == []
        (notice,) = fallbacks["grid_sample"]
        assert notice.startswith(f"fake cannot augment ({LACKING.format('grid_sampler_2d')}")
        assert notice.endswith("): that is done on the CPU") and len(notice) < 300
        assert [t.split(" does not work on fake:0 (")[0] for t in fallbacks["un-pooling"]] == [
            f"{form.name} un-pooling" for form in FORMS
        ]

    def test_slices_cross_once_and_in_two_shapes(self, on_the_device: dict[str, Done]) -> None:
        # Augmented on the CPU: what crosses is batches, and nothing of what was drawn.
        done = on_the_device["grid_sample"]
        assert Counter((c.by, c.shape) for c in done.trained if c.way == "in") == {
            ("place", IMAGE): TRAINED + STATISTICS,
            ("place", TARGET): TRAINED + STATISTICS,
            # The validation case: for its statistics, and for its prediction.
            ("place", SLICES): 2,
        }
        moved = [c for c in done.predicted if c.by != "place_model"]
        # Three cases of less than one batch, and one of two batches.
        batches, cases = 5, 4
        assert Counter((c.by, c.way, c.shape) for c in moved) == {
            ("place", "in", SLICES): 2 * batches,
            # The thresholds of both regions, as logits.
            ("place", "in", (2, 1, 1)): cases,
            # Probabilities, and what the one pass segments.
            ("collect", "out", MARKED): 2 * batches,
        }

    @every_hole
    def test_what_comes_back_is_masks_weights_and_scalars(
        self, lacking: str, on_the_device: dict[str, Done]
    ) -> None:
        done = on_the_device[lacking]
        weights = {tuple(tensor.shape) for tensor in done.run.load("last").weights.values()}
        unpooling = {shape for batch in (IMAGE, SLICES) for pair in levels(batch) for shape in pair}
        for crossing in done.trained:
            if crossing.way == "out" and crossing.by != "collect":
                # The losses of the steps since they were last looked at come together.
                losses = {(steps,) for steps in range(1, 11)}
                expected = (
                    weights | losses | {()} | (unpooling if lacking == "un-pooling" else set())
                )
                assert crossing.shape in expected, crossing
        assert sum(c.by == "collect" for c in done.trained) == 1

    def test_of_what_is_drawn_only_the_noise_is_large(self, on_the_device: dict[str, Done]) -> None:
        crossings = on_the_device["none"].trained
        drawn = [c.shape for c in crossings if c.way == "in" and c.by != "place"]
        assert drawn.count(IMAGE) <= TRAINED + STATISTICS
        assert max(math.prod(shape) for shape in drawn if shape != IMAGE) <= 4 * 2 * 6 * 6

    def test_without_unpooling_its_tensors_cross_and_nothing_else(
        self, on_the_device: dict[str, Done]
    ) -> None:
        whole, lacking = on_the_device["none"], on_the_device["un-pooling"]
        trained, less = crossed(lacking.trained), crossed(whole.trained)
        once = of_unpooling(SLICES, 1, training=False)
        once += of_unpooling(IMAGE, STATISTICS, training=False)
        assert trained - less == of_unpooling(IMAGE, TRAINED) + once
        assert not less - trained
        predicted, less = crossed(lacking.predicted), crossed(whole.predicted)
        assert predicted - less == of_unpooling(SLICES, 5, training=False)
        assert not less - predicted

    def test_a_training_resumes_where_it_stopped(
        self, store: Store, on_the_cpu: Done, tmp_path: Path
    ) -> None:
        """Weights and the optimiser's moments go from the CPU to the device, into new tensors."""
        with device(refuses=LIKE_MPS):
            under_way = train(store, CONFIG, select("fake"), out=tmp_path / "run")
            for event in under_way:
                if isinstance(event, Measured):
                    break
            under_way.close()
            finish(resume(open_run(tmp_path / "run"), select("fake"), store))
        assert scores(open_run(tmp_path / "run")) == scores(on_the_cpu.run)
