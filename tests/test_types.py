"""What mypy and pyright see of `import mriseg`: a user's program, right and wrong.

Both look at programs of their own folder, as a user's, with mriseg as an installed package.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

RIGHT = """
from pathlib import Path

import mriseg
from mriseg import CasePrediction, Store, TrainConfig


def watch(event: mriseg.Event) -> None:
    if isinstance(event, mriseg.Notice):
        print(event.text.upper())


def main(folder: Path) -> float | None:
    prepared: mriseg.PreprocessReport = mriseg.preprocess(folder, "out.zarr", workers=2)
    store: Store = mriseg.open_store(prepared.store)
    config = TrainConfig(width=32, augment=mriseg.AugmentConfig(flip=0.0))
    try:
        trained = mriseg.train(store, config, modalities="t1,flair", budget="30m", on_event=watch)
    except mriseg.errors.DivergedError as error:
        print(error.exit_code)
        raise
    except mriseg.MrisegError:
        return None
    best: float | None = trained.best
    run: Path = trained.run
    predicted = mriseg.predict(folder, "masks", run, mriseg.PredictOptions(overlays=False))
    results: tuple[CasePrediction, ...] = predicted.results
    print([case.mask.name for case in results])
    moved: mriseg.TransferReport = mriseg.transfer(store, run, freeze="encoder", epochs=3)
    print(moved.plan.count("kept"), moved.run, moved.best)
    backend: mriseg.Backend = mriseg.select("cpu")
    print(mriseg.evaluate(store, moved.run, backend=backend).mean("WT"), mriseg.__version__)
    mriseg.show_progress(False)
    pictures: tuple[Path, ...] = predicted.pictures
    picture: Path | None = results[0].picture or trained.page or mriseg.open_run(run).curves
    print(pictures, picture, len(store), [store[name].modalities for name in store])
    info: mriseg.StoreInfo = mriseg.info(store)
    info.show()
    print(mriseg.info(mriseg.open_run(run)).width, mriseg.info().cores, trained.to_pandas())
    return best
"""

WRONG = """
import mriseg

mriseg.train(3, nonsense="x")  # wrong
mriseg.trian("out.zarr")  # wrong
mriseg.train("out.zarr", epochs=3)
mriseg.train("out.zarr", widht=32)  # wrong
mriseg.train("out.zarr", epochs="many")  # wrong
mriseg.train("out.zarr", freeze="encoder")  # wrong
mriseg.train()  # wrong
mriseg.transfer("out.zarr", "run", freeze="encoder")
mriseg.transfer("out.zarr", "run", schedule="sideways")  # wrong
report, plan = mriseg.transfer("out.zarr", "run")  # wrong
print(mriseg.train("out.zarr").best_dice)  # wrong
print(mriseg.train("out.zarr").run)
mriseg.predict("in", "out", "run", threshold=0.3)  # wrong
mriseg.evaluate("out.zarr", "run", include_seen="yes please")  # wrong
print(mriseg.errors.NoSuchError)  # wrong
mriseg.Notice(words="x")  # wrong
best: str = mriseg.train("out.zarr").best  # wrong
mriseg.show_progress("no")  # wrong
print(mriseg.info().width)  # wrong
print(mriseg.open_store("out.zarr")[0])  # wrong
mriseg.train("out.zarr").show_me()  # wrong
"""

# File -> the lines with an error.
Flagged = dict[str, list[int]]
Checker = Callable[[Path], Flagged]


def mypy(folder: Path) -> Flagged:
    """Where mypy finds errors in the programs of a folder."""
    # Of an installed package, mypy follows the types and reports no errors. What torch and the
    # others are does not matter to these programs, and takes most of a minute to find out.
    (folder / "mypy.ini").write_text(
        "[mypy]\nstrict = True\nfollow_imports = silent\n"
        "[mypy-torch.*,zarr.*,scipy.*,matplotlib.*,nibabel.*,tensorstore.*,PIL.*]\n"
        "follow_imports = skip\n"
    )
    cache = ROOT / ".mypy_cache" / "programs"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(cache), "."],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors = re.findall(r"^(\S+):(\d+): error: ", done.stdout, re.MULTILINE)
    return _lines((name, int(line)) for name, line in errors)


def pyright(folder: Path) -> Flagged:
    """Where pyright finds errors in the programs of a folder."""
    settings = {"extraPaths": [str(ROOT)], "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return _lines(
        (Path(item["file"]).name, item["range"]["start"]["line"] + 1)
        for item in json.loads(done.stdout)["generalDiagnostics"]
        if item["severity"] == "error"
    )


def _lines(errors: Iterable[tuple[str, int]]) -> Flagged:
    flagged: dict[str, set[int]] = {}
    for name, line in errors:
        flagged.setdefault(name, set()).add(line)
    return {name: sorted(lines) for name, lines in flagged.items()}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_users_program_is_checked(tmp_path: Path, checker: Checker) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    marked = [n for n, line in enumerate(WRONG.splitlines(), start=1) if line.endswith("# wrong")]
    assert checker(tmp_path) == {"wrong.py": marked}
