"""Share a model: its run as a slim folder with what others need, without names and paths."""

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

from mriseg.core.identity import hidden
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io.cross_validations import CrossValidation, read_cross_validation
from mriseg.io.disk.atomic import is_free
from mriseg.io.disk.documents import read_json
from mriseg.io.disk.locks import locked
from mriseg.io.disk.schemas import Name, as_json, checked
from mriseg.io.hub.address import is_address
from mriseg.io.runs import CARD, Checkpoint, Manifest, Run, create_model
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.given_calibration import differing
from mriseg.report.card_cross_validation import Validation
from mriseg.report.front_matter import front_matter
from mriseg.report.model_card import model_card

_FLOAT16 = torch.finfo(torch.float16)


@dataclass(frozen=True, repr=False)
class ShareReport(Shown):
    """The result of `share`.

    Attributes:
        path: the folder.
        size_bytes: of all its files.
        missing: what is still to fill in, in the model card.
    """

    path: Path
    size_bytes: int
    missing: tuple[str, ...]

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.shared(self)


def share(
    run: Run,
    out: Path,
    *,
    evaluations: Mapping[str, Path] | None = None,
    cross_validation: Path | None = None,
    data: str | None = None,
    terms: str | None = None,
    keep_names: bool = False,
) -> Recipe[ShareReport]:
    """Make a folder with a run's best weights that can be given to others.

    It is a run folder of the kind "model": ``run.json``, ``best.safetensors`` with its convolutions
    in float16, ``certainty.json`` if the run has one, and a model card, ``README.md``, which begins
    with what the Hugging Face Hub reads. The optimiser, the log, pictures, and paths of this
    machine are left out. Names of cases and patients are replaced by
    digests, which still show whether a patient was in the training.

    Args:
        run: the model.
        out: the folder to make.
        evaluations: what was measured, in the card's words ("FLAIR alone") -> an
            ``evaluation.json`` of `mriseg.recipes.evaluate.evaluate`; "" stands for all modalities.
        cross_validation: a folder of `mriseg.recipes.cross_validate.cross_validate`, of trainings
            like this one: its numbers come first in the card.
        data: the training data, for the card.
        terms: terms of use, for the card.
        keep_names: keep the names of cases and patients.

    Raises:
        RunError: the run has no best weights yet.
        InputError: an evaluation or the cross-validation cannot be read.
        ConfigError: the cross-validation is of other networks.
        OutputError: ``out`` is taken or cannot be written; nothing is left of it.
    """
    if not is_free(out):
        raise OutputError(f"{out} exists; choose another folder")
    every = "+".join(run.manifest.modalities)
    measured = {text or every: _evaluation(path) for text, path in (evaluations or {}).items()}
    cross = None if cross_validation is None else read_cross_validation(cross_validation)
    for text in _unlike(run.manifest, cross) if cross else ():
        yield Notice(text)
    checkpoint = run.load("best")
    manifest, state = run.manifest, dict(checkpoint.state)
    if not keep_names and not manifest.salt:
        manifest = _without_names(manifest)
        dice = {hidden(k, manifest.salt): v for k, v in state.get("dice", {}).items()}
        state["dice"] = dict(sorted(dice.items()))
    manifest = _without_paths(manifest)
    card, missing = model_card(
        manifest,
        name=out.name,
        parameters=sum(v.numel() for k, v in checkpoint.weights.items() if _is_trained(k)),
        validation=Validation(state.get("dice", {}), run.manifest.validated_on),
        evaluations=measured,
        cross=cross,
        data=data,
        terms=terms,
    )
    top = front_matter(
        manifest,
        name=out.name,
        evaluations=measured,
        validated=run.manifest.validated_on,
        cross=cross,
        terms=terms,
    )
    with locked(out, "share"):
        slim = Checkpoint(_slim(checkpoint.weights), {}, state)
        create_model(out, manifest, slim, f"{top}\n{card}", run.certainty())
    report = ShareReport(out, sum(path.stat().st_size for path in out.iterdir()), missing)
    for text in _notices(report, manifest):
        yield Notice(text)
    yield Wrote(out, "model to share")
    return report


def _notices(report: ShareReport, manifest: Manifest) -> list[str]:
    names = "without" if manifest.salt else "with"
    texts = [f"{report.path}: {report.size_bytes / 1e6:.1f} MB, {names} the names of cases"]
    bare = sum(not case.fingerprint for case in manifest.seen)
    if bare:
        texts.append(
            f"{bare} of {len(manifest.seen)} training cases show no structure that a fingerprint "
            f"could hold: copies of them under other names will not be recognised"
        )
    if report.missing:
        texts.append(f"still to fill in, in {report.path / CARD}: {'; '.join(report.missing)}")
    return texts


def _unlike(manifest: Manifest, cross: CrossValidation) -> list[str]:
    """What to say where the trainings of a cross-validation were not quite like a model's.

    Raises:
        ConfigError: they are of other networks.
    """
    problems = [
        f"{name} {its} (the model {ours})"
        for name, its, ours in (
            ("modalities", "+".join(cross.modalities), "+".join(manifest.modalities)),
            ("regions", dict(cross.regions), dict(manifest.regions)),
            ("width", cross.width, manifest.model["width"]),
        )
        if its != ours
    ]
    if problems:
        raise ConfigError(
            f"the cross-validation is of networks with other {', '.join(problems)}: name one of "
            f"trainings like this model's"
        )
    other = differing(cross.config, manifest.config)
    return [f"the cross-validation trained with other {', '.join(other)}"] if other else []


class _Measured(BaseModel):
    """The part of a row of an evaluation's summary that a card reports."""

    region: Name
    metric: Name
    mean: float | None
    low: float | None
    high: float | None
    median: float | None
    cases: int


class _Case(BaseModel):
    """The part of a row of an evaluation's cases that a card reports."""

    case: Name
    seen: bool


class _Evaluation(BaseModel):
    """The part of an ``evaluation.json`` that a card reports."""

    summary: list[_Measured]
    cases: list[_Case]
    prediction: dict[str, Any] | None = None


def _evaluation(path: Path) -> dict[str, Any]:
    data = read_json(path)
    try:
        return checked(_Evaluation, data).model_dump()
    except ValueError as error:
        raise InputError(
            f"{path} is not an evaluation.json of: mriseg evaluate --out DIR ({error})"
        ) from None


def _without_names(manifest: Manifest) -> Manifest:
    # Different for each run and the same each time, so that sharing again gives the same folder.
    salt = hashlib.sha256(json.dumps(as_json(manifest)).encode()).hexdigest()[:32]
    return replace(
        manifest,
        # Sorted by digest: in the order of the names they would show which is which.
        train=tuple(sorted(hidden(name, salt) for name in manifest.train)),
        validation=tuple(sorted(hidden(name, salt) for name in manifest.validation)),
        seen=tuple(sorted({case.without_names(salt) for case in manifest.seen})),
        salt=salt,
    )


def _without_paths(manifest: Manifest) -> Manifest:
    parent = manifest.parent and {**manifest.parent, "run": _last(manifest.parent["run"])}
    config = manifest.portable_config
    return replace(manifest, store=_last(manifest.store), parent=parent, config=config)


def _last(location: str) -> str:
    """The last part of a path of any system, or of a URL; the Hub's names are no paths."""
    if is_address(location):
        return location
    return location.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _slim(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convolutions in float16; biases and batch norm, few and of a wide range, as they are."""
    return {
        name: tensor.half()
        if tensor.ndim > 1 and tensor.is_floating_point() and tensor.abs().max() < _FLOAT16.max
        else tensor
        for name, tensor in weights.items()
    }


def _is_trained(name: str) -> bool:
    return name.endswith((".weight", ".bias"))
