"""Plans from the names of files alone."""

from __future__ import annotations

from pathlib import PurePath

from hypothesis import example, given
from hypothesis import strategies as st

from mriseg.core.bids_plan import MOST_LABELS, Session, plan_sessions, sort_files
from mriseg.core.scan_files import NamedFile


def planned(*paths: str) -> tuple[tuple[Session, ...], dict[PurePath, str]]:
    unused: dict[PurePath, str] = {}
    files = [
        NamedFile(
            p := PurePath(path),
            p.parent.parts,
            p.name.removesuffix(".gz").removesuffix(".nii"),
            path.endswith(".gz"),
        )
        for path in paths
    ]
    return plan_sessions(sort_files(files, unused, []), (), unused), unused


def masks_of(session: Session) -> list[str]:
    return [mask.path.name for mask in session.masks]


T1 = "sub-1/anat/sub-1_T1w.nii"
MADE = "derivatives/hand/sub-1/anat/sub-1_"


def test_masks_of_several_labels_are_one_segmentation() -> None:
    (session,), unused = planned(T1, f"{MADE}label-ET_mask.nii", f"{MADE}label-WT_mask.nii")
    assert masks_of(session) == ["sub-1_label-ET_mask.nii", "sub-1_label-WT_mask.nii"]
    assert not unused and not session.problem


def test_a_map_of_labels_precedes_masks_of_them() -> None:
    (session,), unused = planned(T1, f"{MADE}dseg.nii", f"{MADE}label-WT_mask.nii")
    assert masks_of(session) == ["sub-1_dseg.nii"]
    assert [*unused.values()] == ["its session is labelled by sub-1_dseg.nii"]


def test_one_label_twice_is_refused() -> None:
    (session,), _ = planned(T1, f"{MADE}label-WT_mask.nii", f"{MADE}label-WT_roi.nii")
    assert "2 segmentations may be its own" in session.problem


def test_a_mask_without_a_label_beside_one_with_is_refused() -> None:
    (session,), _ = planned(T1, f"{MADE}mask.nii", f"{MADE}label-WT_mask.nii")
    assert "2 segmentations may be its own" in session.problem


def test_too_many_labels_are_refused() -> None:
    masks = [f"{MADE}label-l{number}_mask.nii" for number in range(MOST_LABELS + 1)]
    (session,), _ = planned(T1, *masks)
    assert session.problem.startswith("it has masks of 8 labels (l0, l1, l2, ...)")


def test_a_mask_on_an_image_of_a_template_space() -> None:
    image = "sub-1/anat/sub-1_space-MNI_T1w.nii"
    (session,), unused = planned(image, f"{MADE}space-MNI_dseg.nii", f"{MADE}dseg.nii")
    assert masks_of(session) == ["sub-1_space-MNI_dseg.nii"]
    assert [*unused.values()] == [
        "a segmentation in the subject's own space, where its images are not"
    ]


_NAMES = st.builds(
    "{}sub-{}/anat/sub-{}_{}.nii{}".format,
    st.sampled_from(["", "derivatives/a/", "derivatives/b/", "sourcedata/"]),
    st.sampled_from("12"),
    st.sampled_from("12"),
    st.sampled_from(["T1w", "run-1_T1w", "ce-x_T1w", "FLAIR", "dseg", "label-a_mask", "PDw"]),
    st.sampled_from(["", ".gz"]),
)


@given(st.lists(_NAMES, unique=True))
@example([T1, f"{T1}.gz", f"{MADE}dseg.nii", f"{MADE}dseg.nii.gz"])
def test_every_file_is_used_or_named(paths: list[str]) -> None:
    sessions, unused = planned(*paths)
    used = [
        file.path
        for session in sessions
        if not session.problem
        for file in (*session.images.values(), *session.masks)
    ]
    assert len(set(used)) == len(used)
    assert {*used, *unused} == {*map(PurePath, paths)}
    assert not {*used} & {*unused}
    assert all(unused.values())
    names = [session.name.case for session in sessions]
    assert names == sorted(set(names))
