"""The text of a page: its scripts are whole, its policy lets nothing out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from mriseg.core.regions import label_map, own_labels
from mriseg.io import assets
from mriseg.io.exporters import web_page
from mriseg.io.exporters.web_page import PARTS, WebPage, bundled, policy
from mriseg.testing.exporters import a_deployed
from tests.javascript import MODULES, node

REGIONS = [
    {"name": "WT", "labels": [1, 2, 4], "threshold": 0.4, "min_component_share": 0.1},
    {"name": "TC", "labels": [1, 4], "threshold": 0.5, "min_component_share": 0},
    {"name": "ET", "labels": [4], "threshold": 0.6, "min_component_share": 0},
]


@pytest.mark.parametrize("entry", ["page", "worker"])
def test_a_bundle_is_one_script_without_modules(entry: str, tmp_path: Path) -> None:
    text = bundled(entry)
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    assert "</script" not in text and "<!--" not in text
    path = tmp_path / "bundle.js"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([node(), "--check", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_module_is_in_a_bundle_and_every_import_is_exported() -> None:
    both = bundled("page") + bundled("worker")
    for path in MODULES.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert f"const in_{path.stem} = " in both, path.name
        for names, source in re.findall(r"import \{([^}]*)\} from \"\./(\w+)\.js\";", text):
            exported = (MODULES / f"{source}.js").read_text(encoding="utf-8")
            for name in filter(None, map(str.strip, names.split(","))):
                assert re.search(rf"^export .*\b{name}\b", exported, re.MULTILINE), (path, name)


def test_modules_are_short_and_their_names_are_words() -> None:
    for path in MODULES.glob("*.js"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 350, path
        assert lines[0].startswith("// "), path
        assert max(map(len, lines)) <= 108, path


@pytest.mark.parametrize("in_folder", [True, False])
def test_the_policy_allows_the_scripts_alone_and_no_address(in_folder: bool) -> None:
    text = policy(["alert(1)"], in_folder=in_folder)
    rules = dict(rule.split(" ", 1) for rule in text.split("; "))
    digest = base64.b64encode(hashlib.sha256(b"alert(1)").digest()).decode()
    assert rules["default-src"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert rules["connect-src"] == ("'self'" if in_folder else "'none'")
    assert rules["script-src"] == f"'sha256-{digest}' blob: 'wasm-unsafe-eval'"
    assert "http" not in " ".join(rules.values())


@pytest.mark.skipif(assets.niivue() is None, reason="the viewer was not fetched (scripts/viewer)")
def test_no_text_of_a_run_ends_an_element(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is fetched is not what this is about.
    monkeypatch.setattr(web_page, "asset", lambda name: _asset(name))
    metadata = {"run": "</title><script>alert(1)</script>", "notice": "<b>&", "regions": REGIONS}
    text = WebPage(a_deployed(), metadata).text(dict.fromkeys(PARTS, ""))
    assert "<script>alert(1)" not in text
    assert "<b>&" not in text
    assert "@@" not in text.partition("<script>")[0]
    [config] = re.findall(r'id="config">(.*?)</script>', text)
    assert json.loads(config)["metadata"] == metadata
    for name, file in PARTS.items():
        assert f'data-part="{name}" data-file="{file}"' in text


def _asset(name: str) -> str:
    return "terms" if name.startswith("onnxruntime/") else assets.asset(name)


def test_a_page_paints_regions_as_label_maps_are_painted() -> None:
    import numpy as np

    config = WebPage(a_deployed(), {"regions": REGIONS}).config()
    regions = {str(region["name"]): tuple(region["labels"]) for region in REGIONS}
    assert [region["label"] for region in config["regions"]] == [*own_labels(regions)]
    masks = np.random.default_rng(0).integers(0, 2, (3, 50), dtype=np.uint8)
    painted = np.zeros(50, np.uint8)
    for index in config["order"]:
        painted[masks[index] > 0] = config["regions"][index]["label"]
    assert painted.tolist() == label_map(masks, regions).tolist()
    assert [region["threshold"] for region in config["regions"]] == [0.4, 0.5, 0.6]
    assert [region["share"] for region in config["regions"]] == [0.1, 0, 0]
