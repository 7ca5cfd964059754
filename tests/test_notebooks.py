"""What a user of a notebook sees, in a real kernel: progress, tables, pictures, the tutorial."""

from __future__ import annotations

import base64
import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert.preprocessors import ExecutePreprocessor

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))

CELLS = (
    """
    import mriseg
    from mriseg.testing import phantoms
    from pathlib import Path
    folder = phantoms.write_brats(Path("brats"), 3, shape=(8, 40, 36))
    """,
    "mriseg.preprocess('brats', 'x.zarr', workers=1)",
    "mriseg.open_store('x.zarr').show()",
    """
    trained = mriseg.train('x.zarr', backend='cpu', width=8, epochs=2, batch_size=8, out='run')
    run = mriseg.open_run('run')
    run
    """,
    "run.show()",
    "mriseg.show_progress(False)",
    "mriseg.verify('run')",
    """
    try:
        mriseg.train('x.zarr', widht=8)
    except mriseg.ConfigError as error:
        print(error)
    """,
)


def executed(notebook: Any, folder: Path) -> list[Any]:
    """The code cells of a notebook after it ran in ``folder``; a cell that fails raises."""
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "x", "language": "python"}
    before = os.environ.get("PYTHONPATH")
    # The kernel is a process of its own, and is to import this checkout.
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        runner = ExecutePreprocessor(timeout=600, kernel_name="python3")
        done, _ = runner.preprocess(notebook, {"metadata": {"path": str(folder)}})
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return [cell for cell in done.cells if cell.cell_type == "code"]


def shown(cell: Any, kind: str = "text/html") -> list[str]:
    """What a cell shows, in one media type."""
    return [output["data"][kind] for output in cell.outputs if kind in output.get("data", {})]


def printed(cell: Any, name: str) -> str:
    return "".join(output.text for output in cell.outputs if output.get("name") == name)


def test_a_notebook_shows_progress_tables_and_pictures(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(re.sub(r"(?m)^    ", "", code)) for code in CELLS]
    _, prepared, store, trained, run, _, verified, refused = executed(
        nbformat.v4.new_notebook(cells=cells), tmp_path
    )
    # The progress is one display, whose bar is gone when the work is done.
    progress, table = shown(prepared)
    assert "3 cases in layout brats" in progress and "<progress" not in progress
    assert "3 cases (3 written), 3 labelled" in table and "<table" in table
    # A store's page is in the notebook.
    numbers, page = shown(store)
    assert "3 cases of 3 patients" in numbers and "<iframe sandbox" in page

    progress, table = shown(trained)
    assert re.search(r"epoch +1  loss", progress) and re.search(r"epoch +2  loss", progress)
    assert "best Dice" in table and "WT" in table
    pictures = shown(run, "image/png")
    assert len(pictures) == 2
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for data in pictures)

    assert len(shown(verified)) == 1 and "nothing is wrong" in shown(verified)[0]
    assert "did you mean 'width'?" in printed(refused, "stdout")
    for cell in (prepared, store, trained, run, verified):
        assert printed(cell, "stderr") == ""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 20_000
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert set(cell.metadata) == set()
        # Its links are those of a page in docs/.
        for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", cell.source):
            assert cell.cell_type == "code" or (path.parent / link).exists(), link


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path)
    cells = executed(nbformat.read(tmp_path / path.name, as_version=4), tmp_path)
    assert len(cells) > 5
    # nibabel and the like may warn; mriseg does not.
    assert not any("mriseg" in printed(cell, "stderr") for cell in cells)
    assert sum(len(shown(cell, "image/png")) for cell in cells) >= 5
    [comparison] = re.findall(r": (0\.\d+) before, (0\.\d+) after", printed(cells[-1], "stdout"))
    assert all(0.3 < float(dice) < 1 for dice in comparison)
