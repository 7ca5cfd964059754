"""A file is complete or absent, and never at a URL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mriseg.errors import ConfigError, OutputError
from mriseg.io.disk.atomic import is_free, replacing, staging
from mriseg.io.disk.documents import write_json


def test_a_file_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.nii.gz"
    with replacing(path) as temporary:
        assert temporary.parent.parent == path.parent and temporary.name == path.name
        temporary.write_text("new")
        # As a library does that renames its own file.
        (temporary.parent / "more").write_text("")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    write_json(tmp_path / "ours.json", {})
    assert (tmp_path / "ours.json").stat().st_mode == plain.stat().st_mode


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"file/x\.json cannot be written"),
        replacing(tmp_path / "file" / "x.json"),
    ):
        pass
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with (
        pytest.raises(OutputError, match="taken cannot be written"),
        replacing(tmp_path / "taken") as temporary,
    ):
        temporary.write_text("")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]


def test_a_vanished_folder_is_reported_and_not_recreated(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"gone/x cannot be written: No such file"),
        replacing(tmp_path / "gone" / "x", make_folder=False),
    ):
        pass
    (tmp_path / "here").mkdir()
    with (
        pytest.raises(OutputError, match=r"here/x cannot be written: No such file"),
        replacing(tmp_path / "here" / "x") as temporary,
    ):
        temporary.write_text("")
        (tmp_path / "here").rename(tmp_path / "away")
    assert [path.name for path in tmp_path.iterdir()] == ["away"]


LEFT = """
import sys
from pathlib import Path
from mriseg.io.disk.atomic import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("written", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    (tmp_path / ".part-of-me").write_text("a file, and so none of ours")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", LEFT, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "written\n"
    killed, alive = writers
    killed.kill()
    killed.communicate()
    left = {part for part in tmp_path.glob(".part-*") if part.is_dir()}
    assert len(left) == 2 and path.read_text() == "old" and not is_free(tmp_path)
    for part in left:
        os.utime(part, (0, 0))
    write_json(tmp_path / "other.json", {})
    [kept] = {part for part in tmp_path.glob(".part-*") if part.is_dir()}
    assert (kept / "x").read_text() == "half"
    alive.communicate("")
    assert path.read_text() == "half"
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == [".part-of-me", "other.json", "x"]


def test_a_folder_of_leftovers_alone_is_free(tmp_path: Path) -> None:
    (tmp_path / ".part-abc").mkdir()
    assert is_free(tmp_path) and is_free(tmp_path / "none")
    (tmp_path / "x").write_text("")
    assert not is_free(tmp_path) and not is_free(tmp_path / "x")


@pytest.mark.skipif(os.name != "posix", reason="a limit on a file's size needs POSIX")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    code = """
import resource, sys
from pathlib import Path
from mriseg.errors import OutputError
from mriseg.io.disk.documents import write_json
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_json(Path(sys.argv[1]), ["x" * 5000])
except OutputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert "x.json cannot be written" in done.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_url_is_not_written_into_a_local_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(ConfigError, match="a local path is needed"),
        replacing(Path("s3://bucket/x.json")),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_what_is_staged_lies_hidden_beside_its_place_and_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "masks"
    with staging(folder) as part:
        assert part.parent == folder and part.name.startswith(".")
        (part / "a").write_text("a")
        write_json(part / "b.json", 1)
        (part / "a").replace(folder / "a")
    assert [path.name for path in folder.iterdir()] == ["a"]
    with pytest.raises(ConfigError), staging(Path("s3://bucket/x")):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file cannot be written"), staging(tmp_path / "file"):
        pass


def test_an_error_of_a_staged_file_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught, staging(tmp_path) as part:
        raise OutputError(f"{part / 'a.nii'} cannot be written: no space")
    assert str(caught.value) == f"{tmp_path / 'a.nii'} cannot be written: no space"
