"""Masks lie where their scans do, voxel for voxel, however the scan lies in the scanner.

One drawn head is written by nibabel in all 48 orientations of an oblique grid, as files of every
kind, and goes through the recipes themselves: once from the files, once by way of a store. Two
networks segment it, both real SegNets loaded from a run:

- one whose weights are set by hand so that it segments the brightest voxel of each slice and
  nothing else; the truth has one such voxel per slice, so the mask must be the truth;
- one of random weights, whose masks are those that the test computes by itself: axes turned by
  nibabel's `as_closest_canonical`, and normalisation, crop and frame in a few lines of its own.

The sample in the ordinary suite is small. All of it: ``pytest -m slow tests/reliability``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel import orientations
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mriseg.backends import Backend, select
from mriseg.core import rng as streams
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_
from mriseg.events import finish
from mriseg.io.disk.atomic import temporary_folder
from mriseg.io.runs import Checkpoint, Manifest, Run, create_run
from mriseg.io.store import open_store
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.preprocess import preprocess
from tests.strategies import ORIENTATIONS, Orientation

Array = NDArray[Any]

FRAME = (32, 32)
CONFIG = SegNetConfig(in_channels=1, classes=1, width=8)
# What is expected is computed slice by slice, with one network for all scans.
OPTIONS = PredictOptions(
    overlays=False, threshold=0.5, min_component_share=0.0, flips=False, adapt=False, refine=False
)
# Probabilities this near to the threshold may fall to either side of it by rounding.
UNSURE = 1e-3

# One head is 48 scans, each predicted four times: too much for hypothesis to search and shrink, so
# all is drawn from a seed, which the test's name tells.
FEW, MANY = (1,), (0, *range(2, 51))


@dataclass(frozen=True)
class Kind:
    """How a scan is filed.

    Attributes:
        suffix: of the file's name.
        two: whether as NIfTI-2.
        forms: which of the header's two affines is set: "both", "sform" or "qform".
        dtype: of the voxels.

    The code of the affines goes by the type, so that all but one of NIfTI's occur.
    """

    suffix: str
    two: bool
    forms: str
    dtype: str

    @property
    def space(self) -> int:
        """NIfTI's code of the world that the affine leads to."""
        return {"int16": 1, "float32": 4, "uint16": 2, "uint8": 5}[self.dtype]


@dataclass(frozen=True)
class Head:
    """A head in voxels whose axes run to the right, the front and the top (RAS).

    Attributes:
        image: [x, y, z].
        truth: [x, y, z]: the brightest voxel of each slice z that has any.
        affine: 4x4, oblique.
    """

    image: Array
    truth: Array
    affine: Array


def a_head(chance: np.random.Generator) -> Head:
    """Random voxels in a random box within a rim of zeros: nothing about them is symmetric."""
    # Within the training's frame mostly, and else larger.
    most = 40 if chance.random() < 0.7 else 60
    shape = [*chance.integers(6, most + 1, size=2), chance.integers(2, 10)]
    # More than half is background, and the corners are, so that it is taken for what it is.
    inside = [max(2, int(0.7 * length)) for length in shape]
    starts = [int(chance.integers(0, n - k + 1)) for n, k in zip(shape, inside, strict=True)]
    box = tuple(slice(a, a + k) for a, k in zip(starts, inside, strict=True))
    image = np.zeros(shape, dtype=np.int16)
    image[box] = chance.integers(50, 150, size=inside)
    image[box] *= chance.random(inside) < 0.85
    for corner in np.ndindex(2, 2, 2):
        image[tuple(-1 if end else 0 for end in corner)] = 0
    truth = np.zeros(shape, dtype=np.uint8)
    for z in range(box[2].start, box[2].stop):
        places = np.argwhere(image[:, :, z])
        if len(places):
            x, y = places[chance.integers(len(places))]
            image[x, y, z], truth[x, y, z] = 3000, 1
    affine = np.eye(4)
    spacing = chance.choice((0.43, 0.9375, 1.0, 1.2, 5.0, 6.5), size=3)
    affine[:3, :3] = turned(chance, chance.choice((0, 1, 12, 25))) @ np.diag(spacing)
    affine[:3, 3] = chance.choice((0, 1, 300)) * chance.uniform(-1, 1, size=3)
    return Head(image, truth, affine)


def turned(chance: np.random.Generator, degrees: float) -> Array:
    """A rotation [3, 3] by up to so many degrees about each axis."""
    angles = chance.uniform(-degrees, degrees, size=3)
    return np.asarray(Rotation.from_euler("xyz", angles, degrees=True).as_matrix())


def kinds(chance: np.random.Generator) -> Kind:
    return Kind(
        suffix=str(chance.choice([".nii", ".nii.gz"])),
        two=bool(chance.integers(2)),
        forms=str(chance.choice(["both", "sform", "qform"])),
        dtype=str(chance.choice(["int16", "float32", "uint16"])),
    )


def set_forms(image: Any, affine: Array, kind: Kind) -> None:
    """State the affine in those of the header's two places that ``kind`` has."""
    has_sform, has_qform = kind.forms != "qform", kind.forms != "sform"
    image.set_sform(affine if has_sform else None, kind.space * has_sform)
    image.set_qform(affine if has_qform else None, kind.space * has_qform)


def write(path: Path, array: Array, affine: Array, orientation: Orientation, kind: Kind) -> Path:
    """A file by nibabel alone, its axes turned to run as ``orientation`` says."""
    image = nib.Nifti1Image(array, affine)
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(orientation.codes)
    )
    turned = image.as_reoriented(turn)
    nifti_class = nib.Nifti2Image if kind.two else nib.Nifti1Image
    filed = nifti_class(np.asarray(turned.dataobj).astype(kind.dtype), turned.affine)
    set_forms(filed, turned.affine, kind)
    path = path.with_name(path.name + kind.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(filed, path)
    return path


def a_run(path: Path, model: SegNet) -> Run:
    """A run folder that holds ``model``."""
    manifest = Manifest(
        config={},
        model=CONFIG.model_dump(mode="json"),
        modalities=("T1",),
        regions={"foreground": (1,)},
        unit="mm",
        frame=FRAME,
        incomplete=False,
        store="",
        train=(),
        validation=(),
        seen=(),
        versions={},
        created="",
    )
    run = create_run(path, manifest)
    run.save("best", Checkpoint(dict(model.state_dict()), {}, {}))
    return run


def segments_the_brightest(cpu: Backend) -> SegNet:
    """Its one channel is passed through, and pooling leaves the largest of each 32x32 cells."""
    model = build(CONFIG, cpu.ops)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith(("running_var", "norm.weight")):
                value.fill_(1)
            elif value.is_floating_point():
                value.zero_()
            if value.ndim == 4:
                value[0, 0, value.shape[2] // 2, value.shape[3] // 2] = 1
        head = [parameter for parameter in model.parameters() if parameter.ndim == 1][-1]
        head.fill_(-THRESHOLD)
    return model


# In deviations of the head: its noise stays below 1.8, its brightest voxels above 3.
THRESHOLD = 2.0


def marks_at_random(cpu: Backend) -> SegNet:
    """Weights drawn, and an output that is on both sides of one half."""
    model = build(CONFIG, cpu.ops)
    init_weights_(model, streams.generator(3, "weights"), prior=0.5)
    with torch.no_grad():
        weight = [parameter for parameter in model.parameters() if parameter.ndim == 4][-1]
        weight.mul_(3)
    return model


@pytest.fixture(scope="module")
def cpu() -> Backend:
    return select("cpu", precision="fp32")


@pytest.fixture(scope="module")
def runs(cpu: Backend, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Run]:
    folder = tmp_path_factory.mktemp("runs")
    return a_run(folder / "bright", segments_the_brightest(cpu)), a_run(
        folder / "random", marks_at_random(cpu)
    )


def canonical(image: Any) -> Array:
    """[z, y, x] to the top, the back and the left end, by nibabel alone."""
    array = np.asarray(nib.as_closest_canonical(image).dataobj)
    return array[::-1, ::-1].transpose(2, 1, 0)


def onto(array: Array, image: Any) -> Array:
    """The inverse of `canonical`: [z, y, x] in the axes of ``image``, by nibabel alone."""
    back = orientations.ornt_transform(
        orientations.axcodes2ornt("RAS"), orientations.io_orientation(image.affine)
    )
    return np.asarray(orientations.apply_orientation(array.transpose(2, 1, 0)[::-1, ::-1], back))


def expected(image: Any, model: SegNet) -> tuple[Array, Array]:
    """The mask on the scan's own grid, and where it is sure, without a line of mriseg's geometry.

    The network sees what the documentation says: z-scores over what is not background, in float16,
    cropped to it and centred in the frame.
    """
    volume = canonical(image).astype(np.float64)
    brain = volume != 0
    values = volume[brain]
    scores = np.where(brain, (volume - values.mean()) / values.std(), 0).astype(np.float16)
    ends = [(np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {a})))) for a in range(3)]
    box = tuple(slice(nonzero[0], nonzero[-1] + 1) for nonzero in ends)
    cropped = scores[box].astype(np.float32)
    h, w = cropped.shape[1:]
    # The training's frame where it is large enough.
    frame = FRAME if max(h, w) <= 32 else tuple(-(-length // 32) * 32 for length in (h, w))
    top, left = (frame[0] - h) // 2, (frame[1] - w) // 2
    framed = np.zeros((len(cropped), 1, *frame), dtype=np.float32)
    framed[:, 0, top : top + h, left : left + w] = cropped
    with torch.inference_mode():
        probabilities = model.eval()(torch.from_numpy(framed)).sigmoid().numpy()[:, 0]
    inside = probabilities[:, top : top + h, left : left + w]
    # Slices with nothing in them are not computed.
    inside = inside * cropped.any(axis=(1, 2))[:, None, None]
    output = np.zeros(volume.shape, dtype=np.float32)
    output[box] = inside
    return onto(output > 0.5, image), onto(np.abs(output - 0.5) > UNSURE, image)


def check_grid(mask: Any, scan: Any) -> None:
    """The mask's grid is the scan's, by both of the header's affines and their codes."""
    assert mask.shape == scan.shape
    np.testing.assert_array_equal(mask.affine, scan.affine)
    for form in ("sform", "qform"):
        name = f"{form}_code"
        assert int(mask.header[name]) == int(scan.header[name])
        own, wanted = (getattr(image.header, f"get_{form}")() for image in (mask, scan))
        np.testing.assert_array_equal(own, wanted)
    assert nib.aff2axcodes(mask.affine) == nib.aff2axcodes(scan.affine)


Filed = list[tuple[Orientation, Kind, Orientation]]


def filings(chance: np.random.Generator) -> Filed:
    """For each of the 48 orientations: how the scan is filed, and the axes of its label file."""
    return [
        (own, kinds(chance), ORIENTATIONS[chance.integers(48)] if chance.random() < 0.3 else own)
        for own in ORIENTATIONS
    ]


@pytest.mark.parametrize("seed", [*FEW, *(pytest.param(s, marks=pytest.mark.slow) for s in MANY)])
def test_all_48_orientations(runs: Sequence[Run], cpu: Backend, seed: int) -> None:
    chance = np.random.default_rng([48, seed])
    head, filed = a_head(chance), filings(chance)
    truth = head.truth[::-1, ::-1].transpose(2, 1, 0)
    with temporary_folder() as folder:
        source = folder / "source"
        for orientation, kind, other in filed:
            name = orientation.codes
            write(source / "images" / name, head.image, head.affine, orientation, kind)
            plain = Kind(".nii.gz", kind.two, "sform", "uint8")
            write(source / "labels" / name, head.truth, head.affine, other, plain)
        store = folder / "store.zarr"
        report = finish(preprocess(source, store, channels=["T1"], workers=1))
        assert not report.skipped, report.skipped
        opened = open_store(store)
        bright, random = runs
        scores = finish(evaluate(opened, bright, cpu, options=OPTIONS)).scores
        assert [score.dice for score in scores] == [1.0] * len(filed)

        model = marks_at_random(cpu)
        scans = {
            own.codes: nib.load(source / "images" / f"{own.codes}{kind.suffix}")
            for own, kind, _ in filed
        }
        wanted = {name: expected(scan, model) for name, scan in scans.items()}
        masks: dict[str, list[Array]] = {}
        for path, run in ((p, r) for p in (source / "images", store) for r in (bright, random)):
            out = folder / f"{path.name}-{run.name}"
            channels = None if path == store else ["T1"]
            done = finish(predict(path, out, run, cpu, OPTIONS, channels=channels))
            assert len(done.results) == len(filed) and not done.skipped
            masks[out.name] = []
            for name, scan in scans.items():
                mask = nib.load(out / f"{name}.nii.gz")
                check_grid(mask, scan)
                array = np.asarray(mask.dataobj)
                masks[out.name].append(canonical(mask))
                if run is bright:
                    assert np.array_equal(array, onto(truth, scan)), name
                else:
                    output, sure = wanted[name]
                    assert sure.mean() > 0.75 and array.any(), name
                    assert np.array_equal(array[sure], output[sure]), name
        # Whatever the axes and the way taken, one head has one mask in the world.
        for run in runs:
            first, *others = masks[f"images-{run.name}"] + masks[f"store.zarr-{run.name}"]
            assert all(np.array_equal(first, mask) for mask in others)
        # And what the store keeps of a segmentation is the segmentation.
        for name, scan in scans.items():
            case = opened.read_case(name)
            assert case.labels is not None
            assert np.array_equal(case.to_source(case.labels[None])[0], onto(truth, scan)), name


def test_single_slices_of_any_plane(runs: Sequence[Run], cpu: Backend, tmp_path: Path) -> None:
    """Files of two axes, in each of the 48 ways, give masks of two axes on the same pixels."""
    chance = np.random.default_rng(2)
    truths = {}
    for orientation in ORIENTATIONS:
        kind = kinds(chance)
        image = np.zeros((29, 37), dtype=kind.dtype)
        image[3:22, 5:24] = chance.integers(50, 150, size=(19, 19))
        truth = np.zeros(image.shape, dtype=np.uint8)
        place = tuple(chance.integers((3, 5), (22, 24)))
        image[place], truth[place] = 3000, 1
        affine = np.array(orientation.affine((0.9, 1.7, 4), (5, -60, 7), turned(chance, 20)))
        nifti_class = nib.Nifti2Image if kind.two else nib.Nifti1Image
        filed = nifti_class(image, affine)
        set_forms(filed, affine, kind)
        path = tmp_path / "src" / f"{orientation.codes}{kind.suffix}"
        path.parent.mkdir(exist_ok=True)
        nib.save(filed, path)
        truths[path] = truth
    done = finish(
        predict(tmp_path / "src", tmp_path / "out", runs[0], cpu, OPTIONS, channels=["T1"])
    )
    assert len(done.results) == 48 and not done.skipped
    for path, truth in truths.items():
        scan = nib.load(path)
        mask = nib.load(tmp_path / "out" / f"{path.name.partition('.')[0]}.nii.gz")
        assert mask.shape == scan.shape == truth.shape
        assert np.array_equal(np.asarray(mask.dataobj), truth), path.name
        np.testing.assert_allclose(mask.affine, scan.affine, rtol=1e-6, atol=1e-4)
