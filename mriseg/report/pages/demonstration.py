"""The page of the demo: the shipped model on a patient, and where everything else lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mriseg.core.wording import duration
from mriseg.report.page import About, CaseEntry, Links, Page, Picture, Section, Viewer, Words


@dataclass(frozen=True)
class ShownModel:
    """A model's mask of the patient held out, beside the expert's outline.

    Attributes:
        picture: of its slices.
        dice: of the mask.
        seen: whether the model was trained on this patient.
        viewer: of the patient with both, as in `mriseg.report.page.CaseEntry`; None: none.
    """

    picture: bytes
    dice: float
    seen: bool = False
    viewer: Callable[[bool], Viewer | str] | None = None


def demo_page(
    about: About,
    *,
    case: str,
    base: ShownModel,
    trained: ShownModel,
    seconds: float,
    links: Mapping[str, str],
) -> Page:
    """The page of a demo.

    Args:
        about: how the page came about.
        case: the patient held out.
        base: the shipped model's mask.
        trained: the demo's own model's.
        seconds: that the demo took.
        links: what else there is -> its page, from this one.
    """
    knows = "it was trained on this patient" if base.seen else "it never saw this patient"
    what = (
        "This patient was among those it was trained on: the picture shows what a mask looks like, "
        "and not how good it is on yours."
        if base.seen
        else "It was not trained on this patient, and one patient says little of how good it is on "
        "yours."
    )
    tiles = (
        ("Dice of base", f"{base.dice:.3f}", knows),
        ("Dice of the demo's model", f"{trained.dice:.3f}", "trained here, on two others"),
        ("Time", duration(seconds), "all steps"),
    )
    outline = "The expert's outline is pale."
    shipped = Picture(
        base.picture,
        f"Slices of {case} with the mask of the model base, Dice {base.dice:.3f}. {outline}",
        f"The mask of base in colour. {outline} {what}",
    )
    own = Picture(
        trained.picture,
        f"Slices of {case} with the mask of the demo's model, Dice {trained.dice:.3f}. {outline}",
        "The mask of a narrow network after a moment's training on two patients, which has not "
        "seen this one.",
    )
    return Page(
        kind="Demo",
        title="Every step, on three patients",
        lead=(
            "Scans were preprocessed; a network was trained, measured, carried over to FLAIR "
            "alone and exported. This shows that mriseg works on this machine, not how well it "
            "segments: three patients are too few for that."
        ),
        about=about,
        tiles=tiles,
        cases=(
            CaseEntry(
                name=f"The shipped model on {case}",
                place=case,
                size=len(base.picture),
                flags=(),
                blocks=lambda: (shipped,),
                viewer=base.viewer,
            ),
        ),
        closing=(
            Section("The model that the demo trained", (own,)),
            Section("The pages of each step", (Links(tuple(links.items())),)),
            Section("On your own scans", (Words(_NEXT),)),
        ),
    )


_NEXT = (
    "Masks from the shipped model: mriseg predict scans/ masks/ --model base",
    "A model of your own: mriseg preprocess data/ data.zarr, look at the page in data.zarr, and "
    "then mriseg train data.zarr",
    "Better on your scanner: mriseg transfer data.zarr --from base",
)
