"""Hand a model on: its run as a slim folder that holds what others need and nobody's names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from mriseg.core.fingerprint import fingerprint
from mriseg.core.identity import hidden
from mriseg.errors import InputError, OutputError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io.disk.atomic import is_free
from mriseg.io.disk.documents import read_json
from mriseg.io.disk.locks import locked
from mriseg.io.disk.schemas import Name, checked
from mriseg.io.location import Location
from mriseg.io.runs import CARD, Checkpoint, Manifest, Run, create_model
from mriseg.io.store import open_store
from mriseg.report.model_card import model_card

_FLOAT16 = torch.finfo(torch.float16)


@dataclass(frozen=True)
class ShareReport:
    """What `share` made.

    Attributes:
        path: the folder.
        size_bytes: of all its files.
        missing: what the model card leaves to be filled in.
    """

    path: Path
    size_bytes: int
    missing: tuple[str, ...]


def share(
    run: Run,
    out: Path,
    *,
    evaluations: Mapping[str, Path] | None = None,
    data: str | None = None,
    terms: str | None = None,
    keep_names: bool = False,
) -> Recipe[ShareReport]:
    """Make a folder of a run's best weights that can be given to others.

    It is a run folder, for all that takes one: ``run.json``, ``best.safetensors`` with its
    convolutions in float16, and a model card. The optimiser, the log, pictures, and paths of this
    machine stay behind. Cases and patients are known by digests, so that it can still be told
    whether a patient was in the training.

    Args:
        run: the model.
        out: the folder to make.
        evaluations: what was measured, in the card's words ("FLAIR alone") -> an
            ``evaluation.json`` of `mriseg.recipes.evaluate.evaluate`; "" stands for all modalities.
        data: what the model was trained on, for the card.
        terms: under which the model may be used, for the card.
        keep_names: leave the names of cases and patients in.

    Raises:
        RunError: the run has no best weights yet.
        InputError: an evaluation cannot be read.
        OutputError: ``out`` is taken or cannot be written; nothing is left of it.
    """
    if not is_free(out):
        raise OutputError(f"{out} exists; choose another folder, or remove it first")
    every = "+".join(run.manifest.modalities)
    measured = {text or every: _evaluation(path) for text, path in (evaluations or {}).items()}
    checkpoint = run.load("best")
    manifest, state = _with_fingerprints(run.manifest), dict(checkpoint.state)
    if not keep_names and not manifest.salt:
        manifest = _without_names(manifest)
        dice = {hidden(k, manifest.salt): v for k, v in state.get("dice", {}).items()}
        state["dice"] = dict(sorted(dice.items()))
    manifest = _without_paths(manifest)
    card, missing = model_card(
        manifest,
        name=out.name,
        parameters=sum(v.numel() for k, v in checkpoint.weights.items() if _learnt(k)),
        dice=state.get("dice", {}),
        evaluations=measured,
        validated=run.manifest.validated_on,
        data=data,
        terms=terms,
    )
    with locked(out, "share"):
        made = create_model(out, manifest, Checkpoint(_slim(checkpoint.weights), {}, state), card)
    size = sum(path.stat().st_size for path in out.iterdir())
    names = "without" if manifest.salt else "with"
    yield Notice(f"{out}: {size / 1e6:.1f} MB, {names} the names of cases")
    lacking = sum(not case.fingerprint for case in made.manifest.seen)
    if lacking:
        yield Notice(
            f"{lacking} of {len(made.manifest.seen)} training cases have no fingerprint, and are "
            f"not in {run.manifest.store} to take it from: copies of them under other names will "
            f"not be known"
        )
    for text in missing:
        yield Notice(f"{out / CARD} leaves to be filled in: {text}")
    yield Wrote(out, "model to hand on")
    return ShareReport(out, size, missing)


class _Measured(BaseModel):
    """A row of an evaluation's summary, as far as a card tells it."""

    region: Name
    metric: Name
    mean: float | None
    low: float | None
    high: float | None
    median: float | None
    cases: int


class _Case(BaseModel):
    """A row of an evaluation's cases, as far as a card tells it."""

    case: Name
    seen: bool = False


class _Evaluation(BaseModel):
    """What a card needs of an ``evaluation.json``."""

    summary: list[_Measured]
    cases: list[_Case]


def _evaluation(path: Path) -> dict[str, Any]:
    data = read_json(path)
    try:
        return checked(_Evaluation, data).model_dump()
    except ValueError as error:
        raise InputError(
            f"{path} is no evaluation.json of: mriseg evaluate --out DIR ({error})"
        ) from None


def _with_fingerprints(manifest: Manifest) -> Manifest:
    """What its training cases look like, of a run that is older than fingerprints, if need be.

    Only while its store is where it was, and for cases whose voxels are what they were.
    """
    # A run may be anyone's: what address its store has is not to be asked unseen.
    if all(case.fingerprint for case in manifest.seen) or not Location(manifest.store).is_local:
        return manifest
    try:
        store = open_store(manifest.store)
        contents = {case.content: case.name for case in store.index().cases}
    except InputError:
        return manifest
    seen = tuple(
        case._replace(fingerprint=fingerprint(store.read_case(contents[case.content])))
        if not case.fingerprint and case.content and case.content in contents
        else case
        for case in manifest.seen
    )
    return replace(manifest, seen=seen)


def _without_names(manifest: Manifest) -> Manifest:
    # Another one for each run, and the same one each time, so that a folder can be made again.
    salt = hashlib.sha256(json.dumps(manifest.to_json()).encode()).hexdigest()[:32]
    return replace(
        manifest,
        # Sorted anew: names in order would say which is which.
        train=tuple(sorted(hidden(name, salt) for name in manifest.train)),
        validation=tuple(sorted(hidden(name, salt) for name in manifest.validation)),
        seen=tuple(sorted({case.without_names(salt) for case in manifest.seen})),
        salt=salt,
    )


def _without_paths(manifest: Manifest) -> Manifest:
    parent = manifest.parent and {**manifest.parent, "run": _last(manifest.parent.get("run", ""))}
    config = manifest.portable_config
    return replace(manifest, store=_last(manifest.store), parent=parent, config=config)


def _last(location: str) -> str:
    """The last part of a path of any system, or of a URL."""
    return location.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _slim(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convolutions in float16; biases and BatchNorm, which are few and range far, as they are."""
    return {
        name: tensor.half()
        if tensor.ndim > 1 and tensor.is_floating_point() and tensor.abs().max() < _FLOAT16.max
        else tensor
        for name, tensor in weights.items()
    }


def _learnt(name: str) -> bool:
    return name.endswith((".weight", ".bias"))
