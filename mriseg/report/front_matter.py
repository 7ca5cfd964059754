"""The front matter of a model card: what the Hugging Face Hub reads of it.

YAML between two lines of three dashes, as the Hub describes it
(https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mriseg.core.wording import agreeing, counted
from mriseg.io.cross_validations import CrossValidation
from mriseg.io.runs import Manifest

_TASK = "image-segmentation"
_SEGMENTATION = {"type": _TASK, "name": "Segmentation of brain MRI"}
_TAGS = ("brain", "medical", "mri", "segmentation", "segnet")
_CREATIVE = ("by", "by-sa", "by-nc", "by-nd", "by-nc-nd", "by-nc-sa")
# Terms that are an identifier of the Hub's own, however they are spaced and written.
_LICENCES = frozenset(
    (
        *("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "gpl-3.0", "lgpl-3.0", "mit"),
        *(f"cc-{kind}-{version}" for kind in _CREATIVE for version in ("3.0", "4.0")),
        *("mpl-2.0", "unlicense"),
    )
)
_HUB = re.compile(r"hf:([^@]+)@")


def front_matter(
    manifest: Manifest,
    *,
    name: str,
    evaluations: Mapping[str, Mapping[str, Any]],
    validated: Callable[[str], bool],
    cross: CrossValidation | None = None,
    terms: str | None = None,
) -> str:
    """The lines from ``---`` to ``---``.

    Each evaluation becomes an entry of ``model-index``: the mean 3-D Dice of each region over the
    cases, as a number of 0 to 1, with what is to be known of it in its name.

    Args:
        manifest: of the model.
        name: of the model.
        evaluations: what was measured -> an evaluation, as `mriseg.recipes.evaluate` writes it.
        validated: whether the case of that name helped to choose the best epoch.
        cross: what patients gave who were left out of trainings like this one, which comes first.
        terms: of use. Only those that are a licence by name are given as one.
    """
    fields: dict[str, Any] = {"library_name": "mriseg", "pipeline_tag": _TASK}
    fields |= _licence(terms)
    if base := _HUB.match(str((manifest.parent or {}).get("run", ""))):
        fields["base_model"] = base[1]
    fields["tags"] = [*_TAGS, *(modality.lower() for modality in manifest.modalities)]
    results = [_left_out(cross, subset) for subset in cross.subsets] if cross else []
    results += [_result(text, data, validated) for text, data in evaluations.items()]
    if results := [result for result in results if result["metrics"]]:
        fields["model-index"] = [{"name": name, "results": results}]
    return "\n".join(["---", *_yaml(fields), "---"]) + "\n"


def without_front_matter(text: str) -> str:
    """A card without it."""
    return re.sub(r"\A---\n.*?^---\n\n?", "", text, flags=re.MULTILINE | re.DOTALL)


def _licence(terms: str | None) -> dict[str, str]:
    if terms is None:
        return {}
    known = "-".join(terms.strip().rstrip(".").lower().split())
    if known in _LICENCES:
        return {"license": known}
    return {"license": "other", "license_name": "see-terms", "license_link": "README.md"}


def _result(text: str, data: Mapping[str, Any], validated: Callable[[str], bool]) -> dict[str, Any]:
    store = str((data.get("prediction") or {}).get("store") or "")
    rows = [row for row in data["summary"] if row["metric"] == "dice" and row["mean"] is not None]
    note = _note(data["cases"], validated)
    return {
        "task": _SEGMENTATION,
        "dataset": {
            "type": re.sub(r"[^\w.-]+", "-", store or text).strip("-").lower() or "scans",
            "name": f"{store} ({text})" if store else text,
        },
        "metrics": [
            {
                "type": "dice",
                "name": f"Dice {row['region']}, mean of {counted(row['cases'], 'case')}{note}",
                "value": round(float(row["mean"]), 4),
            }
            for row in rows
        ],
    }


def _left_out(cross: CrossValidation, subset: str) -> dict[str, Any]:
    rows = [
        row
        for row in cross.figures
        if (row.group, row.subset, row.metric) == ("", subset, "dice") and row.patients
    ]
    return {
        "task": _SEGMENTATION,
        "dataset": {
            "type": re.sub(r"[^\w.-]+", "-", cross.store).strip("-").lower() or "scans",
            "name": f"{cross.store} ({subset}, cross-validated)",
        },
        "metrics": [
            {
                "type": "dice",
                "name": f"Dice {row.region}, mean of {counted(row.patients, 'patient')} left out "
                f"of trainings like this one",
                "value": round(float(row.mean), 4),
            }
            for row in rows
        ],
    }


def _note(cases: Sequence[Mapping[str, Any]], validated: Callable[[str], bool]) -> str:
    """What a reader of the number alone has to know of it."""
    names = {row["case"] for row in cases}
    chose, seen = sum(map(validated, names)), len({r["case"] for r in cases if r["seen"]})
    notes = [f"{chose} chose the epoch"] * bool(chose)
    notes += [f"{seen} {agreeing(seen, 'was', 'were')} trained on"] * bool(seen)
    return f" ({', '.join(notes)})" if notes else ""


def _yaml(value: Mapping[str, Any] | Sequence[Any], indent: str = "") -> Iterable[str]:
    """Mappings, lists, texts and numbers as lines of YAML."""
    items: Iterable[tuple[str, Any]] = (
        ((f"{key}:", item) for key, item in value.items())
        if isinstance(value, Mapping)
        else (("-", item) for item in value)
    )
    for key, item in items:
        if isinstance(item, Mapping | list):
            yield f"{indent}{key}"
            yield from _yaml(item, f"{indent}  ")
        else:
            yield f"{indent}{key} {_quoted(item) if isinstance(item, str) else item}"


def _quoted(text: str) -> str:
    """A text of YAML, with what does not print written out."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
