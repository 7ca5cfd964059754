"""A training step and the inference of a batch: mriseg beside the prototype, nnU-Net and MONAI.

Each network is in a process of its own, set up as its own project does it; in the rows "memory
kept" another network is also given what mriseg's CPU backend does with freed memory. A batch is on
the device before it is timed, and each turn begins with a step that is not timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks._data import need
from benchmarks._processes import Actions, Process
from benchmarks._timing import Comparison, Contender, finish, interleaved, parser_of
from mriseg.backends import Backend, select
from mriseg.backends.allocator import keeping_memory
from mriseg.backends.base import DTYPES
from mriseg.core.config import parse
from mriseg.core.cost import cost
from mriseg.core.settings import MULTIPLE
from mriseg.core.train_settings import height_width
from mriseg.core.volume import round_up
from mriseg.engine.workloads import BenchConfig, inference, training

OURS = "mriseg"
WORK = ("training step", "inference")


@dataclass(frozen=True)
class Task:
    """What every contender does.

    Attributes:
        batch: slices of 3 channels, and masks of one region.
        size: their height and width.
        width: channels of the first block, of mriseg's network and the prototype's.
        backend: mriseg's, by name; the others use its device.
        precision: mriseg's.
        compile: mriseg's.
    """

    batch: int
    size: tuple[int, int]
    width: int
    backend: str
    precision: str
    compile: str

    def select(self) -> Backend:
        return select(self.backend, precision=self.precision, compile=self.compile)


def data(task: Task, device: torch.device) -> tuple[Tensor, Tensor]:
    """Slices and masks of noise."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((task.batch, 3, *task.size), generator=generator)
    mask = torch.rand((task.batch, 1, *task.size), generator=generator) < 0.03
    return image.to(device), mask.float().to(device)


def ours(task: Task) -> Actions:
    """As mriseg's backend chooses."""
    backend = task.select()
    config = BenchConfig(width=task.width, batch_size=task.batch, size=task.size)
    return _actions(
        lambda: training(backend, config),
        lambda: inference(backend, config),
        backend,
        backend.running,
    )


def prototype(task: Task, kept: bool) -> Actions:
    """A SegNet with 5x5 kernels in float32 and PyTorch's default memory format, with Adam."""
    backend = task.select()
    torch.manual_seed(0)
    model = FiveByFive(task.width).to(backend.device)
    image, mask = data(task, backend.device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        functional.binary_cross_entropy(torch.sigmoid(model(image)), mask).backward()
        optimiser.step()

    return _plain(model, step, image, backend, kept)


def nnunet(task: Task, kept: bool) -> Actions:
    """The 2-D network that nnU-Net 2 plans for BraTS, trained as its trainer does.

    Six stages of 32 to 512 channels, instance normalisation, leaky ReLU, deep supervision with
    cross-entropy and Dice, SGD with Nesterov's momentum, gradients clipped at 12; float32 on a CPU
    and autocast to float16 on a GPU, and not compiled. Five halvings ask for sizes of whole
    multiples of 32: slices are padded as nnU-Net's would be.
    """
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    backend = task.select()
    torch.manual_seed(0)
    model = PlainConvUNet(
        input_channels=3,
        n_stages=6,
        features_per_stage=(32, 64, 128, 256, 512, 512),
        conv_op=nn.Conv2d,
        kernel_sizes=3,
        strides=(1, 2, 2, 2, 2, 2),
        n_conv_per_stage=2,
        num_classes=2,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    ).to(backend.device)
    h, w = (round_up(side, MULTIPLE) for side in task.size)
    image, mask = data(replace(task, size=(h, w)), backend.device)
    labels = mask[:, 0].long()
    half = backend.device.type == "cuda"
    scaler = torch.amp.GradScaler("cuda", enabled=half)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=1e-2, momentum=0.99, nesterov=True, weight_decay=3e-5
    )

    def autocast() -> AbstractContextManager[object]:
        return torch.autocast("cuda") if half else nullcontext()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with autocast():
            # Of the lower resolutions each counts half of the one above; the lowest not at all.
            loss = sum(
                _cross_entropy_and_dice(logits, labels[:, :: 2**level, :: 2**level]) / 2**level
                for level, logits in enumerate(model(image)[:-1])
            )
        scaler.scale(loss).backward()
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(model.parameters(), 12)
        scaler.step(optimiser)
        scaler.update()

    def infer_alone() -> None:
        model.decoder.deep_supervision = False

    def train_deeply() -> None:
        model.decoder.deep_supervision = True

    return _plain(model, step, image, backend, kept, autocast, train_deeply, infer_alone)


def monai(task: Task, kept: bool) -> Actions:
    """MONAI's BasicUNet as it comes: five stages of 32 to 256 channels, instance normalisation."""
    from monai.losses import DiceCELoss
    from monai.networks.nets import BasicUNet

    backend = task.select()
    torch.manual_seed(0)
    model = BasicUNet(spatial_dims=2, in_channels=3, out_channels=1).to(backend.device)
    loss = DiceCELoss(sigmoid=True)
    image, mask = data(task, backend.device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        loss(model(image), mask).backward()
        optimiser.step()

    return _plain(model, step, image, backend, kept)


class FiveByFive(nn.Module):
    """The prototype's network: a SegNet whose kernels are 5x5."""

    ENCODER = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
    DECODER = ((8, 8, 8), (8, 8, 4), (4, 4, 2), (2, 1), (1,))

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        channels = 3
        for stages, all_widths in ((self.encoder, self.ENCODER), (self.decoder, self.DECODER)):
            for widths in all_widths:
                layers: list[nn.Module] = []
                for out in (width * times for times in widths):
                    layers += [nn.Conv2d(channels, out, 5, padding=2), nn.BatchNorm2d(out)]
                    layers += [nn.ReLU()]
                    channels = out
                stages.append(nn.Sequential(*layers))
        self.head = nn.Conv2d(channels, 1, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for stage in self.encoder:
            x = stage(x)
            size = x.shape[-2:]
            x, indices = functional.max_pool2d(x, 2, return_indices=True)
            kept.append((indices, size))
        for stage in self.decoder:
            indices, size = kept.pop()
            x = stage(functional.max_unpool2d(x, indices, 2, output_size=list(size)))
        return self.head(x)


def _cross_entropy_and_dice(logits: Tensor, labels: Tensor) -> Tensor:
    probability = logits.float().softmax(1)[:, 1]
    overlap = (probability * labels).sum()
    dice = (2 * overlap + 1e-5) / (probability.sum() + labels.sum() + 1e-5)
    return functional.cross_entropy(logits, labels) - dice


def _plain(
    model: nn.Module,
    step: Callable[[], None],
    image: Tensor,
    backend: Backend,
    kept: bool,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    before_training: Callable[[], None] = lambda: None,
    before_inference: Callable[[], None] = lambda: None,
) -> Actions:
    """The actions of a network that is not ours."""

    def train() -> Callable[[], None]:
        model.train()
        before_training()
        return step

    def infer() -> Callable[[], None]:
        model.eval()
        before_inference()

        def predict() -> None:
            with torch.inference_mode(), autocast():
                torch.sigmoid(model(image))

        return predict

    return _actions(train, infer, backend, keeping_memory if kept else nullcontext)


def _actions(
    train: Callable[[], Callable[[], None]],
    infer: Callable[[], Callable[[], None]],
    backend: Backend,
    running: Callable[[], AbstractContextManager[object]],
) -> Actions:
    """By the names of `WORK`: seconds of the second of two calls."""

    def timed(make: Callable[[], Callable[[], None]]) -> float:
        with running():
            action = make()
            action()
            backend.synchronize()
            began = time.perf_counter()
            action()
            backend.synchronize()
            seconds = time.perf_counter() - began
        if backend.device.type == "cuda":
            torch.cuda.empty_cache()  # the others need the room
        return seconds

    return dict(zip(WORK, (lambda: timed(train), lambda: timed(infer)), strict=True))


@contextmanager
def contenders(task: Task, box: tuple[int, int], backend: Backend) -> Iterator[dict[str, Process]]:
    """Each contender's process, by its name in the table."""
    on_box = replace(task, size=box)
    of_box = f"brain's box of {box[0]}x{box[1]}"
    makers = {
        OURS: (ours, task),
        "prototype: SegNet 5x5, float32": (prototype, task, False),
        "nnU-Net 2-D": (nnunet, task, False),
        "MONAI BasicUNet": (monai, task, False),
        f"{OURS}, {of_box}": (ours, on_box),
        f"nnU-Net 2-D, {of_box}": (nnunet, on_box, False),
    }
    if backend.device.type == "cpu":
        makers |= {
            "prototype, memory kept": (prototype, task, True),
            "nnU-Net 2-D, memory kept": (nnunet, task, True),
            "MONAI BasicUNet, memory kept": (monai, task, True),
        }
    with ExitStack() as stack:
        yield {name: stack.enter_context(Process(*maker)) for name, maker in makers.items()}


def _asks(process: Process, action: str) -> Contender:
    return lambda: float(process(action))


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--size", type=height_width, default=(240, 240), metavar="HxW")
    parser.add_argument(
        "--box",
        type=height_width,
        default=(192, 160),
        metavar="HxW",
        help="of the brain: the frame that BraTS's cases get in mriseg's store, and nnU-Net's "
        "patch for them",
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", default="auto")
    options = parser.parse_args(arguments)
    need("dynamic_network_architectures", "monai")

    backend = select(options.backend, precision=options.precision, compile=options.compile)
    # By name, so that the processes do not choose again, one this and another that.
    precision = next(name for name, dtype in DTYPES.items() if dtype == backend.dtype)
    task = Task(
        options.batch_size,
        options.size,
        options.width,
        backend.name,
        precision if options.precision == "auto" else options.precision,
        options.compile,
    )
    config = parse(BenchConfig, {"width": task.width, "batch_size": task.batch, "size": task.size})
    counted = cost(config.network, task.batch, task.size)
    with contenders(task, options.box, backend) as processes:
        groups = [
            interleaved(
                f"{work}, batch of {task.batch} at {task.size[0]}x{task.size[1]}",
                {name: _asks(process, work) for name, process in processes.items()},
                base=OURS,
                rounds=options.rounds,
                warm=False,
            )
            for work in WORK
        ]
    numbers = {
        "mriseg, operations of a training step": counted.training,
        "mriseg, operations of inference": counted.forward,
    }
    return finish("benchmarks.network", backend, options, groups, numbers)


if __name__ == "__main__":
    main()
