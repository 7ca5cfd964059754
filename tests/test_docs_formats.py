"""What docs/formats.md and docs/data.md state, against what is really written and read.

A comment before a table names it: ``<!-- keys: case -->``. The names in its first column are the
keys that there must be, no more and no fewer.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import zarr
from safetensors import safe_open

from mriseg.backends import select
from mriseg.core import modalities
from mriseg.core.certainty import CertaintyMap
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.filenames import read_name
from mriseg.core.orientation import geometry_of
from mriseg.core.preparation import UNPREPARED, Alignment, SeriesRecord, SessionRecord
from mriseg.core.regions import label_map
from mriseg.core.regridding import STILL
from mriseg.core.tumour_labels import TUMOUR_REGIONS, numbering, renumbered
from mriseg.events import finish
from mriseg.io.cross_validations import write_calibration
from mriseg.io.disk.schemas import as_json
from mriseg.io.readers import READERS
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.compare import CompareOptions, compare
from mriseg.recipes.cross_validate import CrossOptions, cross_validate
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.preprocess import CaseReport, preprocess
from mriseg.recipes.share import share
from mriseg.recipes.train import train
from mriseg.recipes.transfer import transfer
from mriseg.testing import phantoms
from tests.io.test_cross_validations import GIVEN

DOCS = Path(__file__).resolve().parent.parent / "docs"
FORMATS = (DOCS / "formats.md").read_text(encoding="utf-8")
DATA = (DOCS / "data.md").read_text(encoding="utf-8")

_MARK = re.compile(r"<!-- ([\w ]+: [\w ]+) -->\n((?:\|.*\n)+)")


def _rows(table: str) -> list[list[str]]:
    """The cells of a table's rows, but for its heading."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[2:]]


def _tables(text: str) -> dict[str, list[list[str]]]:
    return {mark: _rows(table.rstrip("\n")) for mark, table in _MARK.findall(text)}


TABLES = _tables(FORMATS) | _tables(DATA)


def documented(table: str) -> list[str]:
    """The names in backquotes in a table's first column."""
    return [name for row in TABLES[table] for name in re.findall(r"`([^`]+)`", row[0])]


@dataclass(frozen=True)
class Outputs:
    """One of everything that mriseg writes."""

    folder: Path
    store: Store
    run: Run
    transferred: Run

    def attributes(self, path: str) -> dict[str, Any]:
        return dict(zarr.open_group(self.store.location, path=path, mode="r").attrs)["mriseg"]  # type: ignore[return-value]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    folder = tmp_path_factory.mktemp("outputs")
    phantoms.write_brats(folder / "brats", 3, shape=(10, 40, 36))
    recipe = preprocess(folder / "brats", folder / "out.zarr", workers=1, regions="WT,TC,ET")
    finish(recipe)
    store, backend = open_store(folder / "out.zarr"), select("cpu")
    config = TrainConfig(width=8, batch_size=2, epochs=1, slices_per_epoch=2)
    finish(train(store, config, backend, out=folder / "run"))
    run = open_run(folder / "run")
    policy = TransferConfig(l2_sp=1.0)
    one = config.model_copy(update={"modalities": ("FLAIR",), "transfer": policy})
    finish(transfer(store, run, one, backend, out=folder / "transferred"))
    options = PredictOptions(probabilities=True)
    finish(predict(folder / "brats", folder / "masks", run, backend, options))
    finish(evaluate(store, run, backend, out=folder / "evaluation"))
    return Outputs(folder, store, run, open_run(folder / "transferred"))


def same(table: str, actual: Mapping[str, Any]) -> None:
    assert sorted(documented(table)) == sorted(actual)


def loaded(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_store(outputs: Outputs) -> None:
    same("keys: store", outputs.attributes("/"))
    (name, *_) = outputs.store.cases()
    case = outputs.attributes(f"cases/{name}")
    same("keys: case", case)
    same("keys: geometry", case["geometry"])
    same("keys: preparation", loaded(outputs.run.path / "run.json")["preparation"])
    same("keys: spatial header", case["geometry"]["header"])
    for source in case["sources"]:
        same("keys: source", source)
    for file in case["files"]:
        assert set(file) == {"name", "size", "sha256"}
    assert set(case["box"]) == {"start", "stop"}
    assert set(case["normalisation"]) == {"mean", "std"}


def test_the_arrays_of_a_case(outputs: Outputs) -> None:
    (name, *_) = outputs.store.cases()
    group: Any = zarr.open_group(outputs.store.location, path=f"cases/{name}", mode="r")
    assert sorted(documented("arrays: case")) == sorted(group.array_keys())
    for kind, axes, dtype, _, _, shuffle in TABLES["arrays: case"]:
        array = group[kind.strip("`")]
        assert list(array.metadata.dimension_names) == axes.split(", ")
        assert str(array.dtype) == dtype
        assert array.chunks == (1, *array.shape[1:])
        assert array.shards == array.shape
        blosc, crc = array.compressors
        assert type(crc).__name__ == "Crc32cCodec"
        codec = (blosc.cname.value, blosc.clevel, blosc.shuffle.value)
        assert codec == ("lz4", 5, shuffle)
        assert f"Blosc ({codec[0]}, level {codec[1]}" in FORMATS


def test_the_report_of_a_store(outputs: Outputs) -> None:
    report = loaded(Path(outputs.store.location) / "report.json")
    same("keys: report", report)
    for case in report["cases"]:
        same("keys: report case", case)
    assert documented("keys: report case") == [field.name for field in fields(CaseReport)]


def test_the_files_of_a_run(outputs: Outputs) -> None:
    names = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in outputs.transferred.path.iterdir()
    }
    assert sorted(documented("files: run")) == sorted(names)
    assert {path.name for path in outputs.run.path.iterdir()} == {
        path.name for path in outputs.transferred.path.iterdir()
    } - {"transfer.json", "start.safetensors"}
    (image,) = (outputs.run.path / "images").iterdir()
    assert re.fullmatch(r"image_\d{4}_\d{6}\.png", image.name)


def test_a_shared_model(outputs: Outputs) -> None:
    out = outputs.folder / "handed"
    finish(share(outputs.run, out))
    assert sorted(documented("files: model")) == sorted(path.name for path in out.iterdir())
    data = loaded(out / "run.json")
    same("keys: run", data)
    for name, plain in zip(data["train"], sorted(_hidden(data, outputs.run)), strict=True):
        assert name == plain
    for item in data["seen"]:
        same("keys: seen", item)
    same("keys: certainty file", loaded(out / "certainty.json"))
    assert {item["salt"] for item in data["seen"]} == {data["salt"]}


def _hidden(data: dict[str, Any], run: Run) -> list[str]:
    """As the page says it."""
    return [
        hashlib.sha256(f"{data['salt']}/{name}".encode()).hexdigest()[:24]
        for name in run.manifest.train
    ]


def test_run_json(outputs: Outputs) -> None:
    data = loaded(outputs.run.path / "run.json")
    same("keys: run", data)
    same("keys: model", data["model"])
    assert data["parent"] is None
    parent = loaded(outputs.transferred.path / "run.json")["parent"]
    assert set(parent) == {"run", "weights", "frozen", *TransferConfig.model_fields}
    assert set(data["versions"]) == {"mriseg", "torch", "numpy", "python"}


_TENSOR = re.compile(
    r"(en|de)coder\.[1-5]\.\d\.(conv\.(weight|bias)"
    r"|norm\.(weight|bias|running_mean|running_var|num_batches_tracked))|head\.(weight|bias)"
)


def test_checkpoints(outputs: Outputs) -> None:
    names, states = {}, {}
    for which in ("best", "last"):
        with safe_open(outputs.run.path / f"{which}.safetensors", framework="pt") as file:
            names[which] = set(file.keys())
            states[which] = json.loads(file.metadata()["state"])
    same("keys: best state", states["best"])
    assert set(states["last"]) == {"digest", "position", "ended"}
    same("keys: position", states["last"]["position"])
    assert all(_TENSOR.fullmatch(name) for name in names["best"])
    assert {f"average/{name}" for name in names["best"]} < names["last"]
    optimiser = {n for n in names["last"] - names["best"] if not n.startswith("average/")}
    assert optimiser
    for name in optimiser:
        parameter, _, key = name.removeprefix("optimiser/").rpartition("/")
        assert parameter in names["best"] and key in {"step", "exp_avg", "exp_avg_sq"}


def test_certainty_json(outputs: Outputs) -> None:
    data = loaded(outputs.run.path / "certainty.json")
    same("keys: certainty file", data)
    same("keys: training scans", data["scans"])
    assert documented("keys: certainty map") == [field.name for field in fields(CertaintyMap)]


def test_the_log(outputs: Outputs) -> None:
    (line,) = (outputs.run.path / "log.jsonl").read_text().splitlines()
    regions = [f"dice_{region}" for region in outputs.run.manifest.regions]
    expected = [name for name in documented("keys: log") if name != "dice_REGION"]
    assert sorted(expected + regions) == sorted(json.loads(line))


def test_transfer_json(outputs: Outputs) -> None:
    data = loaded(outputs.transferred.path / "transfer.json")
    same("keys: transfer", data)
    assert set(data["source"]) == set(data["target"]) == {"modalities", "regions", "width"}
    assert set(data["policy"]) == set(TransferConfig.model_fields)
    assert set(data["counts"]) == {"kept", "adapted", "new"}
    assert set(data["tensors"][0]) == {"name", "action", "how", "frozen"}


def test_what_lies_beside_a_mask(outputs: Outputs) -> None:
    (name, *_) = outputs.store.cases()
    regions = outputs.run.manifest.regions
    expected = {f"{name}.nii.gz", f"{name}.png", *(f"{name}_prob_{r}.nii.gz" for r in regions)}
    assert {path.name for path in (outputs.folder / "masks").glob(f"{name}*")} == expected
    scan: Any = nib.load(outputs.folder / "brats" / name / f"{name}_t1.nii.gz")
    record = loaded(outputs.folder / "masks" / "report.json")
    same("keys: masks", record)
    for row in loaded(outputs.folder / "masks" / "volumes.json"):
        same("keys: volumes", row)
    for item in record["masks"]:
        same("keys: mask", item)
        for sure in item["certainty"].values():
            same("keys: certainty", sure)
        assert set(item["model"]) == {"path", "digest"}
        for file in (*item["files"], *item["scan"]):
            same("keys: source", file)
        assert {file["name"] for file in item["files"]} == {
            path.name for path in (outputs.folder / "masks").glob(f"{item['case']}*")
        }
    mask: Any = nib.load(outputs.folder / "masks" / f"{name}.nii.gz")
    assert mask.get_data_dtype() == np.uint8 and mask.shape == scan.shape
    np.testing.assert_allclose(mask.affine, scan.affine)
    assert not bytes(mask.header["descrip"]).strip(b"\0")
    probability: Any = nib.load(outputs.folder / "masks" / f"{name}_prob_WT.nii.gz")
    assert probability.get_data_dtype() == np.float32


def test_the_label_of_a_region() -> None:
    assert TUMOUR_REGIONS == {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)}
    masks = np.array([[[[0, 1, 1, 1]]], [[[0, 0, 1, 1]]], [[[0, 0, 0, 1]]]])
    assert label_map(masks, TUMOUR_REGIONS).ravel().tolist() == [0, 2, 1, 4]
    assert label_map(masks[:1], {"ET": (4,)}).ravel().tolist() == [0, 1, 1, 1]


def test_evaluations(outputs: Outputs) -> None:
    folder = outputs.folder / "evaluation"
    same("files: evaluation", {path.name: path for path in folder.iterdir()})
    data = loaded(folder / "evaluation.json")
    assert set(data) == {"cases", "summary", "skipped", "prediction", "notices", "tolerance"}
    same("keys: prediction", data["prediction"])
    for table, rows, name in (
        ("keys: scores", data["cases"], "cases.csv"),
        ("keys: summary", data["summary"], "summary.csv"),
    ):
        same(table, rows[0])
        with (folder / name).open(newline="") as file:
            assert next(csv.reader(file)) == documented(table)


def test_a_cross_validation(outputs: Outputs) -> None:
    out, store = outputs.folder / "crossed", outputs.store
    config = TrainConfig(width=8, batch_size=2, epochs=1, slices_per_epoch=2, regions=("WT",))
    options = CrossOptions(folds=2)
    report = finish(cross_validate(store, out, config, select("cpu"), options=options))
    assert report.calibration is None  # of three patients
    write_calibration(out, GIVEN)
    names = {f"{path.name}/" if path.is_dir() else path.name for path in out.iterdir()}
    assert sorted(documented("files: cross")) == sorted(names)
    plan, data = loaded(out / "plan.json"), loaded(out / "cross-validation.json")
    assert set(plan) == {*documented("keys: plan"), "parts"}
    assert all(set(part) == {"name", "cases"} for part in plan["parts"])
    same("keys: cross", data)
    for figure in data["figures"]:
        same("keys: figure", figure)
    same("keys: given", loaded(out / "calibration.json"))
    with (out / "cross-validation.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    assert columns[:5] == ["patient", "group", "part", "subset", "used"]
    assert columns[5:] == [name for name in documented("keys: scores") if name != "seen"]
    result = loaded(out / "held/fold-1/result.json")
    assert set(result) == {"format", "version", "seconds", "cases"}
    assert all(set(case) == {"case", "used", "file", "dice"} for case in result["cases"])


def test_comparisons(outputs: Outputs) -> None:
    phantoms.write_nnunet(outputs.folder / "others", 2, seed=9, shape=(8, 32, 32))
    finish(preprocess(outputs.folder / "others", outputs.folder / "others.zarr", workers=1))
    store, out = open_store(outputs.folder / "others.zarr"), outputs.folder / "comparison"
    config = TrainConfig(width=8, batch_size=2, epochs=1, slices_per_epoch=2)
    options = CompareOptions(("frozen-encoder", "frozen-random"), ("all",), folds=2)
    finish(compare(store, outputs.run, config, select("cpu"), options, out=out))
    names = {f"{path.name}/" if path.is_dir() else path.name for path in out.iterdir()}
    assert sorted(documented("files: comparison")) == sorted(names)
    plan, data = loaded(out / "plan.json"), loaded(out / "compare.json")
    same("keys: plan", plan)
    assert set(plan["source"]) == {"run", "created"}
    assert all(set(case) == {"name", "patient", "content"} for case in plan["cases"])
    assert set(documented("keys: compare")) == set(data) - (set(plan) - {"cases"})
    assert set(plan) - {"cases"} < set(data)
    for cell in data["cells"]:
        same("keys: cell", cell)
        assert set(cell["dice"]) == {"mean", "low", "high", "patients"}
    for contrast in data["contrasts"]:
        same("keys: contrast", contrast)
        assert set(contrast["difference"]) == {"mean", "low", "high", "p", "patients"}
    with (out / "compare.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    regions = [f"dice_{region}" for region, _ in plan["regions"]]
    assert documented("keys: compared") == columns[: -len(regions)] + ["dice_REGION"]
    assert columns[-len(regions) :] == regions
    result = loaded(out / "runs/patients-all/seed-0/fold-1/scratch/result.json")
    assert set(result) == {"format", "version", "cases"}
    assert set(result["cases"][0]) == {"case", "patient", "seconds", "regions"}


def test_every_marked_table_is_compared() -> None:
    # Some by the tests of the module that writes them.
    tests = [Path(__file__), *(Path(__file__).parent / "io").rglob("test_*.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in tests)
    for mark in TABLES:
        assert f'"{mark}"' in source, mark


# docs/data.md


def test_the_names_of_modalities() -> None:
    canonical = {}
    for row in TABLES["table: modalities"]:
        name, aliases = row[0].strip("`"), row[1].split(", ")
        for alias in aliases:
            canonical[alias] = name
            assert read_name(f"case_{alias}").role == name, alias
    assert canonical == {alias: name for alias, name in modalities._CANONICAL.items() if name}


def test_the_layouts_in_their_order() -> None:
    listed = re.findall(
        r"^\| `(\w+)` \|", DATA.split("### Folders of named files")[0], re.MULTILINE
    )
    assert listed == list(READERS._targets)


def test_the_labels_of_brats() -> None:
    """Each year's column of the table gives the column of canonical ones."""
    _, _, after = DATA.partition("| tissue | canonical |")
    table = "| tissue | canonical |" + after.partition("\n\n")[0]
    years = [cell.strip() for cell in table.split("\n")[0].strip("|").split("|")]
    names = {"2015": "brats_2013_pat0001_1", "2017 to 2021": "BraTS20_Training_001"}
    for column, year in list(enumerate(years))[2:]:
        pairs = {int(row[column]): int(row[1]) for row in _rows(table) if row[column].isdecimal()}
        labels = np.array([[[0, *pairs]]], dtype=np.uint8)
        renamed = numbering(pairs.keys(), names.get(year, "BraTS-GLI-00000-000")).renamed
        mapped = renumbered(labels, renamed)
        assert mapped.ravel().tolist() == [0, *pairs.values()], year


def test_what_was_done_to_a_session() -> None:
    how = Alignment(STILL, 0.1, 0.2, 3.0, used=True)
    grid = geometry_of((4, 4, 4), np.diag([2.0, 2, 2, 1]))
    record = as_json(
        SessionRecord(UNPREPARED, "T1", {"T1": SeriesRecord(grid, alignment=how)}, "T1", 9.0)
    )
    same("keys: session", record)
    same("keys: preparation", record["wanted"])
    same("keys: alignment", record["series"]["T1"]["alignment"])
    assert set(record["series"]["T1"]) == {"own", "lies", "resampled", "alignment"}
