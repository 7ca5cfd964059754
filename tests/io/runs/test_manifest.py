"""A manifest goes through its file, and a damaged one is refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from mriseg.core.preparation import UNPREPARED
from mriseg.errors import RunError
from mriseg.io.disk.checksums import sealed_json
from mriseg.io.runs import FORMAT_VERSION, Manifest, Run, create_run, open_run
from tests.io.runs.examples import MANIFEST


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "run", MANIFEST)


def edited(run: Run, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change ``run.json``, with the digest of the changed content."""
    data = json.loads((run.path / "run.json").read_text())
    del data["digest"]
    change(data)
    (run.path / "run.json").write_bytes(sealed_json(data))
    return run.path


def test_a_manifest_goes_through_its_file(run: Run) -> None:
    again = open_run(run.path)
    assert again == run
    assert again.manifest == MANIFEST
    assert list(again.manifest.regions) == ["WT", "ET"]


def test_every_attribute_is_a_key_and_regions_keep_their_order(run: Run) -> None:
    data = json.loads((run.path / "run.json").read_text())
    names = {item.name for item in fields(Manifest)}
    assert set(data) == names | {"digest", "format", "version"}
    assert data["regions"] == [["WT", [1, 2]], ["ET", [4]]]
    assert data["seen"][0]["fingerprint"] == {"T1": "AA=="}
    assert data["kind"] == "training"


LATER = ("heads", "preparation")


@pytest.mark.parametrize("name", [item.name for item in fields(Manifest) if item.name not in LATER])
def test_a_key_that_is_missing_was_lost(run: Run, name: str) -> None:
    path = edited(run, lambda data: data.pop(name))
    with pytest.raises(RunError, match=rf"run\.json is damaged: it lacks {name}"):
        open_run(path)


@pytest.mark.parametrize("name", LATER)
def test_a_key_that_came_later_may_be_missing(run: Run, name: str) -> None:
    edited(run, lambda data: data.pop(name))
    read = open_run(run.path).manifest
    assert (read.heads, read.preparation) == ({}, UNPREPARED)


@pytest.mark.parametrize(
    "changes",
    [
        {"regions": 3},
        {"regions": [["WT", [1]], ["ET", [400]]]},
        {"seen": [3]},
        {"unit": "inch"},
        {"kind": "anything"},
        {"frame": [0, 32]},
        {"spacing": [1, 0]},
        {"heads": {"tall": 3}},
        {"heads": {"whole": 0}},
        {"spacing": [1]},
        {"modalities": []},
        {"parent": {"weights": "source"}},
        {"config": {"epochs": "many"}},
        {"config": {"augment": {"flip": 2}}},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_form_is_refused(run: Run, changes: dict[str, Any]) -> None:
    path = edited(run, lambda data: data.update(changes))
    with pytest.raises(
        RunError, match=rf"run\.json is damaged: .*{next(iter(changes))}|epochs|aug"
    ):
        open_run(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modalities": ["T1", "T2"]}, "its network has 1 inputs and 2 outputs, for 2 modalities"),
        ({"regions": [["WT", [1]]]}, "for 1 modalities and 1 regions"),
    ],
)
def test_parts_of_two_networks_are_refused(run: Run, changes: dict[str, Any], message: str) -> None:
    path = edited(run, lambda data: data.update(changes))
    with pytest.raises(RunError, match=message):
        open_run(path)


@pytest.mark.parametrize("digest", ["", "0" * 64])
def test_content_that_does_not_match_its_digest_is_refused(run: Run, digest: str) -> None:
    path = run.path / "run.json"
    data = json.loads(path.read_text())
    changed = {"digest": digest} if digest else {}
    path.write_text(json.dumps({**changed, **{k: v for k, v in data.items() if k != "digest"}}))
    with pytest.raises(RunError, match="does not match its digest; restore it from a copy"):
        open_run(run.path)


def test_another_version_is_refused(run: Run) -> None:
    path = edited(run, lambda data: data.update(version=FORMAT_VERSION + 1))
    with pytest.raises(RunError, match=rf"format {FORMAT_VERSION + 1}.*reads {FORMAT_VERSION}"):
        open_run(path)


def test_keys_and_settings_of_a_later_mriseg_are_left_out(run: Run) -> None:
    def change(data: dict[str, Any]) -> None:
        data["planes"] = 3
        data["config"].update(curriculum=True, augment={"flip": 0.0, "fog": 0.5})

    manifest = open_run(edited(run, change)).manifest
    assert manifest.settings.epochs == 3 and manifest.settings.augment.flip == 0


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="mriseg train STORE"):
        open_run(tmp_path / "nothing")
    for number, text in enumerate(("", "{", "[]", "3", '{"format": "x"}', "\x00")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "run.json").write_text(text)
        with pytest.raises(RunError, match="is not a run folder"):
            open_run(folder)
    with pytest.raises(RunError, match="is not a run folder"):
        open_run(tmp_path)
    # In words alone: no number of an error, no second path.
    (folder := tmp_path / "blocked").mkdir()
    (folder / "run.json").mkdir()
    with pytest.raises(RunError, match=r"blocked is not a run folder \(it is not a file"):
        open_run(folder)


def test_an_exported_file_is_no_model_to_use(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"PK")
    with pytest.raises(RunError, match="is a file, and a model is a run's folder: name one under"):
        open_run(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("augment", "axes"),
    [
        ({"flip": 0.0}, ()),
        ({"flip": 0.5}, (3,)),
        ({"flip": 0.0, "vertical_flip": 0.1}, (2,)),
        ({"flip": 0.5, "vertical_flip": 0.5}, (2, 3)),
    ],
)
def test_a_run_knows_how_training_mirrored(
    augment: dict[str, float], axes: tuple[int, ...]
) -> None:
    assert replace(MANIFEST, config={"augment": augment}).mirrored == axes


def test_the_portable_configuration_has_no_names_and_no_paths() -> None:
    for weights in ("/home/me/vgg.pth", "C:\\weights\\vgg.pth"):
        config = {"width": 8, "exclude": ["a"], "validation_cases": ["b"]}
        manifest = replace(MANIFEST, config={**config, "encoder_weights": weights})
        assert manifest.portable_config == {"width": 8, "encoder_weights": "vgg.pth"}


def test_validation_cases_are_recognised_by_plain_and_by_hidden_names() -> None:
    assert MANIFEST.validated_on("c") and not MANIFEST.validated_on("a")
    hidden = replace(MANIFEST, validation=("9b19b1bc3b4fd2c0e4dd7ba4",), salt="salt")
    assert not hidden.validated_on("c")
