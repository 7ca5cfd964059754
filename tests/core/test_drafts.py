"""Segmentations that lie apart from the images go to the only case that they can be of."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath

from mriseg.core.drafts import Draft, agree, join_masks
from mriseg.core.filenames import read_name
from mriseg.core.patients import CaseName
from mriseg.core.scan_files import Item, NamedFile


def item(path: str) -> Item:
    pure = PurePosixPath(path)
    file = NamedFile(pure, pure.parts[:-1], pure.stem)
    return Item(file, read_name(pure.stem), pure.parts[:-1])


def draft(path: str) -> Draft:
    image = item(path)
    name = image.folder[-1]
    return Draft(CaseName(name, name), image.folder, image.subject, [image])


def joined(mask: str, *images: str) -> tuple[list[str], dict[PurePath, str]]:
    """The cases that got the mask, and what is not used."""
    drafts = [draft(path) for path in images]
    unused: dict[PurePath, str] = {}
    join_masks(drafts, [item(mask)], unused)
    return [d.name.case for d in drafts if len(d.items) > 1], unused


def test_by_name() -> None:
    assert joined("m/b_seg.nii", "x/a/a_t1.nii", "x/b/b_t1.nii") == (["b"], {})


def test_by_the_folder_around_it() -> None:
    assert joined("m/b/seg.nii", "x/a/t1.nii", "x/b/t1.nii") == (["b"], {})


def test_in_the_parent() -> None:
    assert joined("p/wmh.nii", "p/pre/FLAIR.nii", "q/pre/FLAIR.nii") == (["pre"], {})


def test_of_several_cases() -> None:
    owners, unused = joined("p/wmh.nii", "p/a/FLAIR.nii", "p/b/FLAIR.nii")
    assert owners == []
    assert list(unused.values()) == ["a segmentation that may be of 2 cases (a, b)"]


def test_of_no_case() -> None:
    owners, unused = joined("m/c_seg.nii", "x/a/a_t1.nii")
    assert owners == []
    assert list(unused.values()) == ["a segmentation of no case"]


def test_a_name_that_continues_another_is_not_the_same_where_a_word_differs() -> None:
    assert agree(("pat1",), ("pat1", "ax"))
    assert agree((), ("pat1",))
    assert not agree(("pat1",), ("pat10",))
