"""The JavaScript of a page is the Python of prediction: the same files, masks and refusals.

Each test gives both the same input. What a page shows is tested in test_web_browser.py.
"""

from __future__ import annotations

import gzip
import itertools
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from mriseg.core import filenames, intensity, postprocess, resampling
from mriseg.core.modalities import MODALITIES
from mriseg.core.orientation import geometry_of
from mriseg.core.prepare import prepare
from mriseg.core.volume import Geometry
from mriseg.errors import InputError
from mriseg.io import images, nifti
from mriseg.report.drawing import PALETTE
from mriseg.testing import phantoms
from tests.javascript import run

# Arrays as JavaScript is given them: in canonical axes, of the type that a file's voxels have.
_TYPED = "const typed = ([kind, values]) => globalThis[kind + 'Array'].from(values);\n"
_FILE = (
    "const { readFileSync, statSync } = await import('node:fs');\n"
    "const file = (path) => new File([readFileSync(path)], path.split('/').pop());\n"
)


def typed(array: NDArray[Any]) -> list[Any]:
    kind = {"i": "Int", "u": "Uint", "f": "Float"}[array.dtype.kind] + str(array.dtype.itemsize * 8)
    return [kind, array.ravel().tolist()]


def a_head(seed: int, *, skull: bool, dtype: Any) -> list[NDArray[Any]]:
    """Modalities of a phantom [z, y, x]; without a skull its surroundings are 0, else noise."""
    rng = np.random.default_rng(seed)
    of_modality, _ = phantoms.head(rng, (9, 40, 36), modalities=("t1", "flair"))
    volumes = [np.asarray(image) for image in of_modality.values()]
    if skull:
        volumes = [volume + rng.uniform(0, 30, volume.shape) for volume in volumes]
    return [np.rint(volume).astype(dtype) for volume in volumes]


def test_halves_are_rounded_as_numpy_rounds_them() -> None:
    rng = np.random.default_rng(0)
    # Every size, halfway between two halves, and beyond the smallest and the largest.
    values = np.concatenate(
        [
            rng.normal(0, 1, 500) * 2.0 ** rng.integers(-30, 20, 500),
            (2049 + 2 * np.arange(64)) * 2.0**-11,
            (np.arange(9) + 0.5) * 2.0**-24,
        ]
    ).astype(np.float32)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16).astype(np.float64)
    given = run("return given.map((v) => String(numbers.half(v)))", values.astype(float).tolist())
    assert [float(value) for value in given] == expected.tolist()


def affines(count: int) -> list[NDArray[np.float64]]:
    """Turned, mirrored, sheared and scaled at random."""
    rng = np.random.default_rng(1)
    turned = []
    for _ in range(count):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        shear = np.eye(3) + np.triu(rng.uniform(-0.2, 0.2, (3, 3)), 1)
        affine = np.eye(4)
        affine[:3, :3] = rotation @ shear @ np.diag(rng.uniform(0.5, 5, 3))
        affine[:3, 3] = rng.uniform(-90, 90, 3)
        turned.append(affine)
    return turned


@pytest.mark.parametrize("ndim", [2, 3])
def test_axes_are_found_as_python_finds_them(ndim: int) -> None:
    shape = (5, 7, 1 if ndim == 2 else 4)
    expected = [geometry_of(shape, affine, ndim=ndim) for affine in affines(200)]
    given = run(
        "return given.affines.map((a) => place.geometryOf(given.shape, a, given.ndim))",
        {"affines": [affine.tolist() for affine in affines(200)], "shape": shape, "ndim": ndim},
    )
    for own, geometry in zip(given, expected, strict=True):
        assert (tuple(own["axes"]), tuple(own["flips"])) == (geometry.axes, geometry.flips)


def _written(folder: Path) -> list[Path]:
    """Files of every kind of voxel, byte order and statement of a place."""
    rng, affine = np.random.default_rng(2), affines(1)[0]
    paths = []
    kinds = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
    for number, (kind, order) in enumerate(itertools.product(kinds, "<>")):
        dtype = np.dtype(order + kind)
        data = rng.integers(0, 100, (4, 5, 3)).astype(dtype)
        header = nib.Nifti1Header(endianness=order) if number % 3 else nib.Nifti2Header(None, order)
        kind_of = nib.Nifti1Image if number % 3 else nib.Nifti2Image
        image = kind_of(data, affine, header)
        image.set_data_dtype(dtype)
        if number % 4 == 1:
            image.header.set_slope_inter(0.5, -3)
        if number % 4 == 2:
            image.set_sform(None, 0)
            image.set_qform(np.round(affine, 3), 1)
        if number % 4 == 3:
            image.header.set_xyzt_units("micron")
        path = folder / f"{number}-{kind}.nii{'.gz' * (number % 2)}"
        nib.save(image, path)
        paths.append(path)
    # No form counts; a single slice; several volumes; an axis of one voxel after them.
    bare = nib.Nifti1Image(rng.normal(size=(4, 5, 3)).astype(np.float32), None)
    bare.header.set_zooms((2, 1, 3))
    flat = nib.Nifti1Image(rng.integers(0, 9, (6, 5)).astype(np.int16), affine)
    more = nib.Nifti1Image(rng.integers(0, 9, (4, 5, 3, 2)).astype(np.int16), affine)
    long = nib.Nifti1Image(rng.integers(0, 9, (4, 5, 3, 1, 1)).astype(np.int16), affine)
    for name, image in {"bare": bare, "flat": flat, "more": more, "long": long}.items():
        nib.save(image, folder / f"{name}.nii")
        paths.append(folder / f"{name}.nii")
    return paths


def test_files_are_read_and_masks_written_as_python_does(tmp_path: Path) -> None:
    paths = _written(tmp_path)
    code = (
        _FILE + "return Promise.all(given.map(async (path) => {\n"
        "const { geometry, header, volumes } = await nifti.readNifti(file(path));\n"
        "const labels = Uint8Array.from(volumes[0], (_, k) => k % 7);\n"
        "return { geometry, values: volumes.map((v) => [v.constructor.name, [...v]]),\n"
        "mask: [...mask.maskFile(labels, geometry, header)] }; }))"
    )
    for path, given in zip(paths, run(code, [str(path) for path in paths]), strict=True):
        arrays, geometry = nifti.read_channels(path)
        own = given["geometry"]
        assert (tuple(own["axes"]), tuple(own["flips"])) == (geometry.axes, geometry.flips), path
        np.testing.assert_allclose(own["affine"], np.asarray(geometry.affine)[:3], atol=1e-12)
        assert len(given["values"]) == len(arrays), path
        for (kind, values), array in zip(given["values"], arrays, strict=True):
            assert (kind == "Float32Array") == (array.dtype == np.float32), path
            np.testing.assert_array_equal(values, array.ravel(order="F"), err_msg=str(path))
        labels = (np.arange(arrays[0].size) % 7).reshape(geometry.shape, order="F")
        nifti.write(tmp_path / "mask.nii", labels, geometry)
        assert bytes(given["mask"]) == (tmp_path / "mask.nii").read_bytes(), path


def test_what_is_no_image_is_refused_in_a_sentence(tmp_path: Path) -> None:
    good = tmp_path / "good.nii"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.int16), np.eye(4)), good)
    content = good.read_bytes()
    gz = gzip.compress(content)
    infinite = np.full((4, 4, 4), np.nan, np.float32)
    nib.save(nib.Nifti1Image(infinite, np.eye(4)), tmp_path / "nan.nii")
    colours = nib.Nifti1Image(
        np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")]), np.eye(4)
    )
    nib.save(colours, tmp_path / "colours.nii")
    singular = bytearray(content)
    singular[280:296] = bytes(16)
    cases = {
        "page.nii": (b"<!doctype html><html>", "is not a NIfTI file .*a web page"),
        "empty.nii.gz": (b"", "is not a NIfTI file .it is empty"),
        "short.nii": (content[:400], "is truncated: its header promises 128 bytes"),
        "cut.nii.gz": (gz[:-20], "is a damaged or truncated gzip file"),
        "flipped.nii.gz": (gz[:-8] + b"\0\0\0\0" + gz[-4:], "is a damaged or truncated gzip file"),
        "twice.nii.gz": (gzip.compress(gz), "gzip file inside a gzip file"),
        "pair.nii": (content[:344] + b"ni1\0" + content[348:], "half of a .hdr/.img pair"),
        "flat.nii": (bytes(singular), "has an affine that gives voxels a size"),
        "nan.nii": (None, "64 voxels that are NaN or infinite: no brain is left"),
        "colours.nii": (None, "holds colours or raw bytes"),
    }
    for name, (written, _) in cases.items():
        if written is not None:
            (tmp_path / name).write_bytes(written)
    code = (
        _FILE + "return Promise.all(given.map((path) => nifti.readNifti(file(path)).then(\n"
        "() => 'read', (error) => `${error.isSentence} ${error.message}`)))"
    )
    said = run(code, [str(tmp_path / name) for name in cases])
    for text, (name, (_, expected)) in zip(said, cases.items(), strict=True):
        assert text.startswith(f"true {name} ") and text.endswith("."), text
        with pytest.raises(InputError):
            images.read(tmp_path / name)
        assert re.search(expected, text), text


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("skull", [False, True])
def test_a_case_is_prepared_as_python_prepares_it(skull: bool, dtype: Any) -> None:
    volumes = a_head(3, skull=skull, dtype=dtype)
    shape = volumes[0].shape
    # Axes that are canonical already: the array is what prepare turns it into.
    geometry = Geometry(
        shape=shape,
        affine=((0, 0, -1, 0), (0, -1, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1)),
        axes=(0, 1, 2),
        flips=(False, False, False),
    )
    expected = prepare(dict(zip(("T1", "FLAIR"), volumes, strict=True)), None, geometry)
    given = run(
        _TYPED
        + "const images = given.images.map((a, k) => ({ name: String(k), data: typed(a) }));\n"
        "const { box, inside, channels } = prepare.prepare(images, given.shape);\n"
        "return { box, inside: [...inside], scores: channels.map(({ scores }) => [...scores]) }",
        {"images": [typed(volume) for volume in volumes], "shape": shape},
    )
    assert (tuple(given["box"]["start"]), tuple(given["box"]["stop"])) == (
        expected.box.start,
        expected.box.stop,
    )
    mask = intensity.foreground(volumes)[expected.box.slices]
    assert 0.1 < mask.mean() < 1
    np.testing.assert_array_equal(given["inside"], mask.ravel())
    for scores, channel in zip(given["scores"], expected.image, strict=True):
        np.testing.assert_array_equal(scores, channel.astype(np.float64).ravel())


def test_a_crop_within_a_head_is_all_foreground_and_a_constant_one_is_refused() -> None:
    crop = np.random.default_rng(4).uniform(149, 151, (4, 16, 16)).astype(np.float32)
    crop[:, :3, :3] = 10
    code = (
        _TYPED + "const data = typed(given.image);\n"
        "try { return prepare.prepare([{ name: 'T1', data }], given.shape).inside.includes(0) }\n"
        "catch (error) { return error.message }"
    )
    assert intensity.foreground([crop]).all()
    assert run(code, {"image": typed(crop), "shape": crop.shape}) is False
    constant = np.ones_like(crop)
    said = run(code, {"image": typed(constant), "shape": crop.shape})
    assert said == "The brain is empty: every image is constant."


@pytest.mark.parametrize(("own", "network"), [((30, 41), (52, 33)), ((25, 20), (11, 47))])
def test_slices_are_resampled_as_pytorch_does(
    own: tuple[int, int], network: tuple[int, int]
) -> None:
    slice_ = np.random.default_rng(5).normal(size=own).astype(np.float32)
    shares = np.random.default_rng(6).uniform(size=network).astype(np.float32)
    plan = resampling.Resampling(own, network)
    to_network, to_own = run(
        _TYPED + "const { own, network } = given;\n"
        "return [[...resample.resized(typed(given.slice), own, network, 'cubic')],\n"
        "[...resample.resized(typed(given.shares), network, own, 'linear')]]",
        {"own": own, "network": network, "slice": typed(slice_), "shares": typed(shares)},
    )
    np.testing.assert_allclose(to_network, plan.to_network(slice_).ravel(), atol=1e-5)
    np.testing.assert_allclose(to_own, plan.to_own(shares).ravel(), atol=1e-6)


def test_whether_slices_are_resampled_is_decided_as_in_python() -> None:
    trained = (1.0, 1.1)
    for size in (0.8, 0.9, 1.2, 1.21, 1.5, 0.01, 4.0):
        geometry = geometry_of((64, 50, 9), np.diag([-size, -size, 3.0, 1.0]))
        expected, notice = resampling.plan((50, 64), geometry, trained)
        given = run(
            "return resample.plan(given.own, given.spacing, given.trained)",
            {"own": (50, 64), "spacing": geometry.spacing[1:], "trained": trained},
        )
        assert given["network"] == (list(expected.network) if expected else None), size
        assert bool(given["notice"]) == bool(notice), size


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 1.0])
def test_small_components_are_removed_as_in_python(share: float) -> None:
    mask = (np.random.default_rng(7).uniform(size=(6, 14, 12)) < 0.06).astype(np.uint8)
    expected = postprocess.remove_minor_components(mask[None], share)[0]
    given = run(
        _TYPED + "return [...components.withoutMinor(typed(given.mask), given.shape, given.share)]",
        {"mask": typed(mask), "shape": mask.shape, "share": share},
    )
    np.testing.assert_array_equal(given, expected.ravel())
    assert share in (0.0, 1.0) or 0 < expected.sum() < mask.sum()


def test_images_of_one_case_are_brought_onto_one_grid_or_refused() -> None:
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    grid = geometry_of((4, 5, 3), affine)
    flipped = affine.copy()
    flipped[0] *= -1
    flipped[0, 3] = -3
    turned, away = geometry_of((4, 5, 3), flipped), geometry_of((4, 5, 3), affine + 9 * np.eye(4))
    other = geometry_of((5, 4, 3), affine)
    voxels = np.arange(60, dtype=np.int16)

    def plain(geometry: Geometry) -> dict[str, Any]:
        keys = ("shape", "affine", "axes", "flips", "ndim")
        return {key: getattr(geometry, key) for key in keys}

    same, reoriented, moved_away, refused = run(
        _TYPED + "return given.own.map((own) => { try { const { voxels, notices } =\n"
        "place.ontoGrid(typed(given.voxels), own, given.grid, 'b.nii');\n"
        "return { voxels: [...voxels], notices } } catch (error) { return error.message } })",
        {
            "own": [plain(one) for one in (grid, turned, away, other)],
            "grid": plain(grid),
            "voxels": typed(voxels),
        },
    )
    assert same == {"voxels": voxels.tolist(), "notices": []}
    expected = voxels.reshape((4, 5, 3), order="F")[::-1].ravel(order="F")
    assert (
        reoriented["voxels"] == expected.tolist() and "was reoriented" in reoriented["notices"][0]
    )
    assert moved_away["voxels"] == voxels.tolist() and "differs" in moved_away["notices"][0]
    assert refused.startswith("b.nii has the shape 5 x 4 x 3, but the first image has 4 x 5 x 3.")


def test_where_a_name_is_read_for_sure_python_reads_the_same() -> None:
    words = filenames.word_meanings()
    rng = np.random.default_rng(8)
    pool = [*words, "sub", "001", "brain", "to", "pre", "op", "scan", "ax", "space"]
    often = ["t1", "t1ce", "flair", "t2", "t2f", "t1c", "dark", "gd"]
    names = [
        "_".join(
            rng.choice(often if rng.uniform() < 0.4 else pool) for _ in range(rng.integers(1, 5))
        )
        for _ in range(3000)
    ]
    names += [
        "BraTS-GLI-00000-000-t2W",
        "VSD.Brain.XX.O.MR_Flair.54512",
        "sub-01_T1w",
        "my_T2_FLAIR",
    ]
    given = run(
        "const { words, reads } = given;\n"
        "return given.names.map((name) => names.readName(`${name}.nii.gz`, words, reads))",
        {"names": names, "words": words, "reads": MODALITIES},
    )
    sure = 0
    for name, reading in zip(names, given, strict=True):
        if reading["modality"] is None:
            assert reading["why"]
        else:
            sure += 1
            assert filenames.read_name(name).role == reading["modality"], name
    assert sure > 300
    assert [reading["modality"] for reading in given[-4:]] == ["T2", "FLAIR", "T1", "FLAIR"]


def test_the_colours_are_those_of_reports() -> None:
    assert run("return scene.COLOURS") == [list(colour) for _, colour in PALETTE]
