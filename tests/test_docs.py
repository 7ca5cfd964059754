"""The documentation's links lead somewhere, and the commands it shows exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "mriseg" / "sample" / "README.md"]
)

_FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|<img[^>]*\bsrc=\"([^\"]+)\"")
_SHELLS = {"console", "bash", "sh", "shell"}


def _links(text: str) -> list[str]:
    """Targets of the links and pictures of a page, but for those to other sites."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    targets = [first or second for first, second in _LINK.findall(prose)]
    return [target for target in targets if not re.match(r"[a-z][a-z+.-]*:", target)]


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken(page: Path, text: str) -> Iterator[str]:
    for link in _links(text):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and target.suffix == ".md":
            content = text if target == page else target.read_text(encoding="utf-8")
            if anchor not in _anchors(content):
                yield f"{link}: {target.name} has no such heading"


def _commands(text: str) -> Iterator[list[str]]:
    """The words of each command line in the shell blocks of a page."""
    for language, block in _FENCE.findall(text):
        if language not in _SHELLS:
            continue
        lines = block.replace("\\\n", " ").splitlines()
        # In a console with prompts, the lines without one are output.
        prompted = any(line.startswith("$ ") for line in lines)
        for line in lines:
            if prompted and not line.startswith("$ "):
                continue
            try:
                words = shlex.split(line.removeprefix("$ "), comments=True)
            except ValueError:
                continue
            for stop in ("|", "&&", ">", ";"):
                words = words[: words.index(stop)] if stop in words else words
            if words:
                yield words


def _unknown(words: list[str], group: Any) -> Iterator[str]:
    """What a ``mriseg ...`` line names that the command line does not have."""
    command, path, rest = group, words[0], words[1:]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            yield f"{path} {rest[0]}: there is no such command"
            return
        command, path, rest = command.commands[rest[0]], f"{path} {rest[0]}", rest[1:]
    known = {"--help"}.union(*([*p.opts, *p.secondary_opts] for p in command.params))
    for word in rest:
        option = word.partition("=")[0]
        if re.match(r"--?[A-Za-z]", option) and option not in known:
            yield f"{path} {option}: there is no such option"


@pytest.fixture(scope="module")
def command_line() -> Any:
    """The root of the command line, as typer builds it."""
    if find_spec("mriseg.cli.app") is None:
        pytest.skip("there is no command line yet")
    import typer.main

    from mriseg.cli.app import app

    return typer.main.get_command(app)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(_broken(page, page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path, command_line: Any) -> None:
    for words in _commands(page.read_text(encoding="utf-8")):
        name = Path(words[0]).name
        if name == "mriseg":
            assert list(_unknown(["mriseg", *words[1:]], command_line)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_scripts_exist(page: Path) -> None:
    for words in _commands(page.read_text(encoding="utf-8")):
        if words[0].startswith("./"):
            assert (ROOT / words[0]).is_file(), words[0]


def test_every_command_is_documented(command_line: Any) -> None:
    page = ROOT / "docs" / "cli.md"
    assert page.is_file(), "docs/cli.md describes the commands"
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ +`?mriseg ([\w-]+)", text, re.MULTILINE)
    assert set(headings) == set(command_line.commands)


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    seen, waiting = set(), [index]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for link in _links(page.read_text(encoding="utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file():
                waiting.append(target)
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} <= seen


def test_ci_runs_the_command_that_the_readme_states() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    stated = re.search(r"<!-- test:[^\n]*-->\s*```\w+\n(.*?)```", readme, re.DOTALL)
    assert stated, "README.md marks its test command with <!-- test: ... -->"
    assert stated[1].strip() == "./scripts/test"
    assert "command=./scripts/test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["setup", "demo", "check", "test", "docs", "_venv"])
def test_a_script_is_well_formed(script: str) -> None:
    path = ROOT / "scripts" / script
    subprocess.run(["sh", "-n", path], check=True)
    assert script == "_venv" or path.stat().st_mode & 0o111


def test_the_checks_of_this_file_can_fail(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# One two\n[a](#one-two) [b](page.md) [c](no.md) [d](#none) `[e](x)` [f](https://g.h)\n"
    page.write_text(text)
    assert [problem.partition(":")[0] for problem in _broken(page, text)] == ["no.md", "#none"]

    import typer.main

    app = typer.Typer()

    @app.command()
    def train(epochs: int = 1) -> None: ...

    @app.command()
    def other() -> None: ...

    root = typer.main.get_command(app)
    block = "```console\n$ mriseg train --epochs 3\nout\n$ mriseg train \\\n  --speed 2\n```\n"
    first, second = _commands(block)
    assert list(_unknown(first, root)) == []
    assert list(_unknown(second, root)) == ["mriseg train --speed: there is no such option"]
    [problem] = _unknown(["mriseg", "fly"], root)
    assert problem == "mriseg fly: there is no such command"
