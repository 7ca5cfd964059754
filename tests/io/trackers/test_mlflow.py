"""MLflow: its own client reads back what the tracker wrote, of a folder and of a database."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from mriseg.errors import ConfigError
from mriseg.io.trackers.base import Ended, TrackedTraining
from mriseg.io.trackers.mlflow import TRACKER
from mriseg.testing import Tracked, TrackerContract


@pytest.fixture(scope="module")
def mlflow() -> Any:
    """The library, which takes seconds to load."""
    return pytest.importorskip("mlflow", reason="MLflow is not installed")


class TestInAFolder(TrackerContract):
    tracker = TRACKER

    @pytest.fixture(autouse=True)
    def folder(self, mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
        monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        self.mlflow = mlflow

    def tracked(self, id: str) -> Tracked:
        client = self.mlflow.MlflowClient()
        run, epochs = client.get_run(id), defaultdict[int, dict[str, float]](dict)
        for name in run.data.metrics:
            for metric in client.get_metric_history(id, name):
                epochs[metric.step][name] = metric.value
        files = frozenset(item.path for item in client.list_artifacts(id))
        return Tracked(run.data.params, epochs, files, run.info.status == "RUNNING")

    def test_users_see_the_runs_name_and_what_it_is_of(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "gliomas")
        facts = {"modalities": "T1", "long": "x" * 10000}
        many = {f"setting.{number}": number for number in range(250)}
        tracking = TRACKER.begin(TrackedTraining("mine", many, facts), None)
        tracking.close(Ended.FAILED, "the loss became nan")
        [run] = self.mlflow.search_runs(experiment_names=["gliomas"], output_format="list")
        assert run.info.run_name == "mine" and run.info.status == "FAILED"
        assert run.data.tags["mriseg.modalities"] == "T1"
        assert run.data.tags["mriseg.ended"] == "the loss became nan"
        assert len(run.data.params) == 250


def test_without_mlflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r'pip install "mriseg\[mlflow\]"'):
        TRACKER.check()


@pytest.mark.slow
def test_by_default_it_is_where_mlflow_ui_looks(
    mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    tracking = TRACKER.begin(TrackedTraining("mine", {"width": 8}, {}), None)
    tracking.epoch(1, {"dice": 0.5})
    tracking.close(Ended.DONE, "")
    assert (tmp_path / "mlflow.db").is_file()
    assert mlflow.MlflowClient().get_run(tracking.id).data.metrics == {"dice": 0.5}
