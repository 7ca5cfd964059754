from __future__ import annotations

from collections.abc import Mapping

import pytest

from mriseg.events import Advanced, Event, Notice, Recipe, Skipped, finish
from mriseg.recipes.about import (
    COMMAND,
    Heard,
    about,
    machine_of,
    software,
    spoken_value,
    without_folders,
)


def a_recipe() -> Recipe[int]:
    yield Notice("one")
    yield Advanced("stage", 1)
    yield Notice("one")
    yield Skipped("a", "why")
    return 7


def test_what_is_said_is_remembered_and_passed_on() -> None:
    heard, events = Heard(), list[Event]()
    assert finish(heard.listening(a_recipe()), events.append) == 7
    assert heard.notices == ["one"] and heard.skipped == [("a", "why")]
    assert events == [Notice("one"), Advanced("stage", 1), Notice("one"), Skipped("a", "why")]


def test_a_page_says_how_it_was_made() -> None:
    token = COMMAND.set("mriseg predict 'a b'")
    try:
        page = about(software(), heard=Heard(["n"], [("a", "why")]), settings={"flips": False})
    finally:
        COMMAND.reset(token)
    assert page.command == "mriseg predict 'a b'" and page.settings == {"flips": "off"}
    assert page.notices == ("n",) and page.skipped == (("a", "why"),)
    assert set(page.versions) == {"mriseg", "numpy", "python"} and page.created
    assert not about({}).command


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "on"),
        (0.001, "0.001"),
        (12, "12"),
        (["T1", "FLAIR"], "T1, FLAIR"),
        ({"WT": 0.5}, "WT: 0.5"),
        ((), "none"),
    ],
)
def test_values_are_for_people(value: object, text: str) -> None:
    assert spoken_value(value) == text


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            "mriseg preprocess /home/me/hospital/scans out.zarr",
            "mriseg preprocess .../scans out.zarr",
        ),
        ("mriseg preprocess '/a b/c d/' ../x.zarr", "mriseg preprocess '.../c d' .../x.zarr"),
        ("mriseg preprocess s --labels=/a/b", "mriseg preprocess s --labels=.../b"),
        ("", ""),
    ],
)
def test_a_command_without_folders(command: str, text: str) -> None:
    assert without_folders(command) == text


@pytest.mark.parametrize(
    ("facts", "text"),
    [({}, ""), ({"name": "cpu", "device name": "X", "precision": "float32"}, "cpu (X), float32")],
)
def test_the_machine_in_words(facts: Mapping[str, str], text: str) -> None:
    assert machine_of(facts) == text
