"""MLflow: where MLFLOW_TRACKING_URI says, a server, a folder or a database.

Without that it is MLflow's own default, in the current folder. MLFLOW_EXPERIMENT_NAME names the
experiment; else it is "mriseg". https://mlflow.org/docs/latest/ml/tracking/
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mriseg.extras import Extra
from mriseg.io.trackers.base import Ended, TrackedTraining

_MLFLOW = Extra("mlflow", "the tracker mlflow", ("mlflow",))

_STATUS = {Ended.DONE: "FINISHED", Ended.STOPPED: "KILLED", Ended.FAILED: "FAILED"}
# Of one request.
_MOST = 100
_LONGEST = 500


class MLflowRun:
    """A run of MLflow's."""

    def __init__(self, client: Any, id: str) -> None:
        self._client, self.id = client, id

    def epoch(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """See `mriseg.io.trackers.base.Tracking.epoch`."""
        entities, now = import_module("mlflow.entities"), int(1000 * time.time())
        metrics = [entities.Metric(_key(k), float(v), now, epoch) for k, v in numbers.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def artefact(self, path: Path) -> None:
        """See `mriseg.io.trackers.base.Tracking.artefact`."""
        self._client.log_artifact(self.id, str(path))

    def close(self, ended: Ended, reason: str) -> None:
        """See `mriseg.io.trackers.base.Tracking.close`."""
        if reason:
            self._client.set_tag(self.id, "mriseg.ended", reason[:_LONGEST])
        self._client.set_terminated(self.id, _STATUS[ended])


class MLflow:
    """Tracks trainings in MLflow."""

    name = "mlflow"
    summary = "MLflow, where MLFLOW_TRACKING_URI says"

    def check(self) -> None:
        """See `mriseg.io.trackers.base.Tracker.check`."""
        _MLFLOW.library()

    def begin(self, training: TrackedTraining, known: str | None) -> MLflowRun:
        """See `mriseg.io.trackers.base.Tracker.begin`."""
        # A folder was asked for by its name; MLflow wants that said twice from 3.7 on.
        if not re.match(r"(?!file:)\w{2,}:|$", os.environ.get("MLFLOW_TRACKING_URI", "")):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        client = import_module("mlflow").MlflowClient()
        if known is not None:
            client.update_run(known, status="RUNNING")
            return MLflowRun(client, known)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "mriseg"
        experiment = client.get_experiment_by_name(name)
        place = experiment.experiment_id if experiment else client.create_experiment(name)
        facts = {f"mriseg.{_key(k)}": v[:_LONGEST] for k, v in training.facts.items()}
        run = client.create_run(place, tags=facts, run_name=training.name)
        id = str(run.info.run_id)
        entities = import_module("mlflow.entities")
        params = [
            entities.Param(_key(name), str(value)[:_LONGEST])
            for name, value in training.settings.items()
        ]
        for some in _parts(params):
            client.log_batch(id, params=some)
        return MLflowRun(client, id)


TRACKER = MLflow()


def _key(name: str) -> str:
    """A name as MLflow takes it."""
    return re.sub(r"[^\w\-. /]", "_", name)


def _parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[first : first + _MOST] for first in range(0, len(items), _MOST)]
