"""The voxels of a series, made by dcm2niix and held against its headers.

dcm2niix reads what the makers of scanners write, and writes a file whatever is wrong. So the
headers are checked first (`mriseg.core.dicom_stack`), every failure and every warning about the
geometry refuses the series, and the volume must lie where the headers say that the slices do.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mriseg.core.dicom_stack import frames_of, in_order, stack_problem
from mriseg.core.wording import counted
from mriseg.errors import InputError, reason_of
from mriseg.io import images
from mriseg.io.dicom.encapsulated import check_pixels
from mriseg.io.dicom.extra import READING
from mriseg.io.dicom.headers import DicomHeader, read_header
from mriseg.io.disk.atomic import temporary_folder
from mriseg.io.disk.schemas import MAX_VOXELS
from mriseg.io.disk.untrusted import open_regular
from mriseg.io.images import Image

# Seconds; a series of 500 slices takes one.
_TIMEOUT = 600
# No settings of the user's own, nothing but the volume, values as they are, one process.
_OPTIONS = "-g i -z n -b n -f volume -w 1 -m 2 -i n -x n -l o -p n -d 0 -a y -q n"
_ABOUT_GEOMETRY = re.compile(
    r"interslice|spacing|slice dist|slice direction|missing|duplicate|repeated|gantry|tilt|"
    r"orientation|spatial matrix|image position|unable|incomplete|corrupt|truncat|unsupported|"
    r"overflow",
    re.IGNORECASE,
)
_WAY_OUT = "export the series again; or leave it out with a table of cases (mriseg inspect --csv)"


def read_series(paths: Sequence[Path]) -> Image:
    """The volume of a series.

    Args:
        paths: all files of it, in any order.

    Returns:
        The array [i, j, k] in dcm2niix's axes, in RAS+ world coordinates in mm, and notices.

    Raises:
        InputError: what is wrong with it, in one sentence with the name of a file.
        ConfigError: a library is not installed.
    """
    headers = [read_header(path) for path in paths]
    first = headers[0]
    what = series_name(paths)
    for header in headers:
        if header.kind:
            raise InputError(f"{header.path.name} is {header.kind}")
        if header.stack != first.stack:
            raise InputError(f"{header.path.name} is of another series than {first.path.name}")
        check_pixels(header)
    if problem := problem_of(headers):
        raise InputError(f"{what}: {problem}; {_WAY_OUT}")
    with temporary_folder() as folder:
        image = images.read(_converted(headers, folder, what), MAX_VOXELS)
    if not first.mosaic:
        places = [place for header in headers for place in header.slices]
        try:
            frames_of(image.geometry, [places[index] for index in in_order(places)])
        except InputError as error:
            raise InputError(
                f"{what}: dcm2niix read it otherwise than its headers say: {error}"
            ) from None
    # The names of temporary files say nothing.
    notices = tuple(text.replace("volume.nii", what) for text in image.notices)
    return Image(image.array, image.geometry, notices)


def series_name(paths: Sequence[Path]) -> str:
    """A series in a sentence, by its files: what its header calls it is not for a record."""
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"the DICOM series of {paths[0].name}{more}"


def problem_of(headers: Sequence[DicomHeader]) -> str:
    """Why files are not one volume, as their headers have it; or nothing."""
    if headers[0].mosaic:
        if len(headers) == 1:
            return ""
        return f"it holds {len(headers)} volumes (mosaics), and one is expected"
    places = [place for header in headers for place in header.slices]
    if sum(place.shape[0] * place.shape[1] for place in places) > MAX_VOXELS:
        return f"its {len(places)} slices have more pixels than a scan has"
    return stack_problem(places)


def _converted(headers: Sequence[DicomHeader], folder: Path, what: str) -> Path:
    """The NIfTI file that dcm2niix makes.

    Raises:
        InputError: it fails, it warns about the geometry, or it does not make one volume.
    """
    given, results = folder / "in", folder / "out"
    given.mkdir()
    results.mkdir()
    for number, header in enumerate(headers):
        _link(header.path, given / f"{number:06d}.dcm")
    command = [
        str(READING.library("dcm2niix").bin),
        *_OPTIONS.split(),
        "-o",
        str(results),
        str(given),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{what}: dcm2niix did not end within {_TIMEOUT} s; {_WAY_OUT}") from None
    except OSError as error:
        raise InputError(f"{what}: dcm2niix cannot be run: {reason_of(error)}") from error
    output = (done.stdout + done.stderr).decode(errors="replace").replace(str(folder), "")
    warnings = [
        line.strip() for line in output.splitlines() if re.match(r"\s*(?:warn|err)", line, re.I)
    ]
    grave = [line for line in warnings if _ABOUT_GEOMETRY.search(line)]
    if done.returncode or grave:
        said = textwrap.shorten(
            (grave or warnings or ["no reason given"])[0], 200, placeholder=" ..."
        )
        raise InputError(
            f"{what}: dcm2niix refuses or doubts it (exit code {done.returncode}): {said}; "
            f"{_WAY_OUT}"
        )
    # What was drawn onto an image at the scanner is an overlay, and no voxel.
    files = [path for path in sorted(results.glob("*.nii")) if "_ROI" not in path.name]
    if len(files) != 1:
        raise InputError(f"{what}: dcm2niix made {counted(len(files), 'volume')} of it; {_WAY_OUT}")
    return files[0].rename(results / "volume.nii")


def _link(path: Path, to: Path) -> None:
    """Give dcm2niix a file, with a preamble where it has none but begins with its group 2."""
    with open_regular(path) as file:
        start = file.read(2)
    if start == b"\x02\x00":
        to.write_bytes(bytes(128) + b"DICM" + path.read_bytes())
        return
    try:
        to.symlink_to(path.absolute())
    except OSError:  # Windows without the right to.
        shutil.copyfile(path, to)
