"""Names of any language are read, written and shown in every locale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mriseg
from mriseg.testing import phantoms

COMPUTING = "--backend cpu --precision fp32"
LINES = [
    "preprocess Köpfe out.zarr --workers 2",
    "verify out.zarr --sources Köpfe",
    "info out.zarr",
    f"train out.zarr --width 8 --epochs 1 --batch-size 8 --out Läufe {COMPUTING}",
    f"predict Köpfe Masken_Ä --model Läufe --no-flips --no-refine {COMPUTING}",
    f"evaluate out.zarr --model Läufe --include-seen --no-flips --out 評価 {COMPUTING}",
    "info Läufe",
    "verify 患者",
]

CHAIN = """
import shlex, sys
from mriseg.cli.encoding import use_utf8
use_utf8()
from mriseg.cli.app import app
if __name__ == "__main__":
    for line in sys.argv[1:]:
        try:
            app(shlex.split(line))
        except SystemExit as end:
            print("exit code", end.code)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are text")
def test_every_name_in_a_locale_of_ascii(tmp_path: Path) -> None:
    names = ["Müller_Ä".encode(), "患者1".encode(), b"M\xfcller"]  # the last in Latin-1
    folders = phantoms.write_brats(tmp_path / "Köpfe", 3, shape=(12, 40, 36))
    for folder, name in zip(folders, names, strict=True):
        for path in folder.iterdir():
            path.rename(folder / path.name.replace(folder.name, os.fsdecode(name)))
        folder.rename(folder.with_name(os.fsdecode(name)))
    (tmp_path / "chain.py").write_text(CHAIN)
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    ended = subprocess.run(
        [sys.executable, "chain.py", *LINES],
        cwd=tmp_path,
        env={
            **plain,
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONIOENCODING": "ascii",
            "PYTHONPATH": str(Path(mriseg.__file__).parents[1]),
        },
        capture_output=True,
        check=False,
    )
    shown, said = ended.stdout.decode("ascii"), ended.stderr.decode("ascii")
    assert "Traceback" not in said, said
    codes = [line for line in shown.splitlines() if line.startswith("exit code")]
    assert codes == [*["exit code 0"] * (len(LINES) - 1), "exit code 3"], said
    assert r"M\xfcller_\xc4" in shown and r"\u60a3\u80051" in shown
    assert r"error: \u60a3\u8005 does not exist" in said
    masks = {path.name for path in (tmp_path / "Masken_Ä").glob("*.nii.gz")}
    assert {"Müller_Ä.nii.gz", "患者1.nii.gz"} < masks and len(masks) == 3
    assert (tmp_path / "評価/cases.csv").read_text(encoding="utf-8").count("Müller_Ä") == 1
