"""The log of a run, ``log.jsonl``: a JSON object of numbers per epoch, one per line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mriseg.errors import RunError, reason_of
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.schemas import checked
from mriseg.io.disk.untrusted import parse_json, read_text


class LogRow(BaseModel):
    """The numbers of an epoch; ``dice_REGION`` for each region beside those named here.

    Attributes:
        epoch: counted from 1.
        step: steps of the whole training so far.
        loss: mean over the epoch's steps.
        learning_rate: of the last step.
        images_per_second: slices trained on per second of training.
        waiting_share: share of that time spent waiting for data.
        dice: mean validation Dice over the regions; None where the epoch was not validated.
        seconds: spent on the training so far, validations included.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    epoch: int
    step: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    images_per_second: float | None = None
    waiting_share: float | None = None
    dice: float | None = None
    seconds: float = 0.0


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The numbers of each epoch so far; a damaged line ends them. None where there is no log.

    Raises:
        RunError: the log is not a readable file.
    """
    if not path.exists():
        return []
    rows: list[dict[str, Any]] = []
    try:
        for line in read_text(path).splitlines():
            row = parse_json(line)
            checked(LogRow, row)
            rows.append(row)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {reason_of(error)}") from None
    except ValueError:
        return rows
    return rows


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Replace the log in one atomic step.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path, make_folder=False) as temporary:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        temporary.write_text(text, encoding="utf-8")
