"""Names lead to code, on first use, and a wrong one says which are right."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mriseg
from mriseg.errors import ConfigError, UnknownNameError
from mriseg.registry import Registry

names = st.text(min_size=1, max_size=8)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package, ``mriseg_plugin``, with an entry point in a group of its own."""
    (tmp_path / "mriseg_plugin.py").write_text(
        "VALUE = object()\nclass Holder:\n    inner = VALUE\n"
    )
    info = tmp_path / "mriseg_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mriseg-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mriseg.test_group]\nextra = mriseg_plugin:VALUE\nours = mriseg_plugin:VALUE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mriseg_plugin", raising=False)
    return "mriseg_plugin"


def test_code_is_imported_when_it_is_asked_for(plugin: str) -> None:
    registry: Registry[object] = Registry("thing", {"one": f"{plugin}:VALUE"})
    assert list(registry) == ["one"]
    assert "one" in registry
    assert plugin not in sys.modules
    value = registry["one"]
    assert value is sys.modules[plugin].VALUE
    assert registry["one"] is value


def test_an_attribute_may_be_nested(plugin: str) -> None:
    registry: Registry[object] = Registry("thing", {"one": f"{plugin}:Holder.inner"})
    assert registry["one"] is sys.modules[plugin].VALUE


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    registry: Registry[object] = Registry("backend", {"mps": "a:b", "cuda": "a:c"})
    with pytest.raises(UnknownNameError, match="no backend 'cudo'; known: cuda, mps.*'cuda'"):
        registry["cudo"]
    with pytest.raises(UnknownNameError) as caught:
        registry["zzz"]
    assert "Did you mean" not in str(caught.value)
    assert registry.get("zzz") is None


@given(st.dictionaries(names, st.just("math:pi"), max_size=5), names)
def test_it_is_a_mapping(targets: dict[str, str], other: str) -> None:
    registry: Registry[float] = Registry("number", targets)
    assert list(registry) == list(targets)
    assert len(registry) == len(targets)
    assert (other in registry) == (other in targets)
    assert set(registry.values()) == ({importlib.import_module("math").pi} if targets else set())
    assert all(name in repr(registry) for name in targets)


@given(names)
def test_a_name_is_not_taken_over_silently(name: str) -> None:
    registry: Registry[float] = Registry("number", {})
    registry.register(name, "math:pi")
    with pytest.raises(ConfigError, match="already registered, as math:pi"):
        registry.register(name, "math:e")
    assert registry[name] == importlib.import_module("math").pi
    registry.register(name, "math:e", replace=True)
    assert registry[name] == importlib.import_module("math").e


def test_a_target_names_a_module_and_an_attribute() -> None:
    registry: Registry[float] = Registry("number", {})
    with pytest.raises(ConfigError, match="'module:attribute', not 'math.pi'"):
        registry.register("pi", "math.pi")
    assert not registry


def test_what_it_was_made_from_is_not_what_it_holds() -> None:
    targets = {"pi": "math:pi"}
    registry: Registry[float] = Registry("number", targets)
    targets["e"] = "math:e"
    assert list(registry) == ["pi"]
    with pytest.raises(TypeError):
        registry["e"] = 1.0  # type: ignore[index]


def test_an_entry_point_adds_a_name_and_takes_none(plugin: str) -> None:
    registry: Registry[object] = Registry("thing", {"ours": "math:pi"}, group="mriseg.test_group")
    assert set(registry) == {"ours", "extra"}
    assert len(registry) == 2
    assert registry["extra"] is importlib.import_module(plugin).VALUE
    assert registry["ours"] == importlib.import_module("math").pi
    registry.register("ours", f"{plugin}:VALUE", replace=True)
    assert registry["ours"] is registry["extra"]


def _shipped() -> list[tuple[str, str, str]]:
    """(module, registry, name) of every entry of every registry in the package."""
    entries = []
    for module in pkgutil.walk_packages(mriseg.__path__, "mriseg."):
        if module.ispkg:
            held = vars(importlib.import_module(module.name))
            for attribute, value in held.items():
                if isinstance(value, Registry):
                    entries += [(module.name, attribute, name) for name in value]
    return entries


@pytest.mark.parametrize(("module", "attribute", "name"), _shipped())
def test_every_name_that_ships_leads_somewhere(module: str, attribute: str, name: str) -> None:
    assert getattr(importlib.import_module(module), attribute)[name] is not None
