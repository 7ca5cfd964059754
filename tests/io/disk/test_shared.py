"""Another process sees the same files at a path, or it is said that it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mriseg.errors import OutputError
from mriseg.io.disk import atomic
from mriseg.io.disk.shared import SharedPath, workroom


def test_the_same_path_has_no_problem_and_another_one_has(tmp_path: Path) -> None:
    file = tmp_path / "scan.nii"
    file.write_bytes(b"voxels")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    known = [SharedPath.of(file), SharedPath.of(folder)]
    assert [path.problem() for path in known] == ["", ""]
    (folder / "run.json").write_text('{"other": 1}')
    file.write_bytes(b"voxelx")
    assert all("sees something else at" in path.problem() for path in known)
    shutil.rmtree(folder)
    file.unlink()
    assert all("does not see" in path.problem() for path in known)


def test_what_is_hidden_in_a_folder_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    known = SharedPath.of(tmp_path)
    (tmp_path / ".mriseg.lock").touch()
    assert known.problem() == ""
    (tmp_path / "b").touch()
    assert known.problem()


def test_a_workroom_is_seen_by_its_token_and_is_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mriseg.io.disk.shared._LATENESS", 0.1)
    out = tmp_path / "masks"
    with workroom(out) as room:
        assert room.is_open and room.problem() == ""
        atomic.sweep(out)  # which leaves what is in use
        place = room.place("3")
        (place / "half").touch()
        assert list(room.place("3").iterdir()) == []
        (Path(room.path) / "token").write_text("of another machine's folder")
        assert "sees something else at" in room.problem()
        (Path(room.path) / "token").unlink()
        assert "does not see what is written into" in room.problem()
    assert not room.is_open and not out.exists()
    with pytest.raises(OutputError, match="masks is gone"):
        room.place("4")
    with pytest.raises(OutputError, match="has ended"), room.alone("case"):
        pass


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    with workroom(tmp_path) as room, room.alone("a/b"):
        pass
    assert list(tmp_path.iterdir()) == []
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(OutputError, match="cannot be written"), workroom(blocked / "x"):
        pass
