"""Numbers for TensorBoard.

Written at once, in the caller's thread, where a full disk can be reported; TensorBoard's own writer
has a thread that prints a traceback.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from mriseg.errors import OutputError, reason_of

_VERSION = "brain.Event:2"


class Board:
    """A file of numbers by step; each process that works on a run writes its own.

    Args:
        folder: of the files.
        step: from here on earlier files are void: the run was stopped and is resumed from a
            checkpoint.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        name = f"events.out.tfevents.{time.time_ns()}.{platform.node()}.{os.getpid()}"
        self._path = folder / name
        try:
            # Not its parents: a run that went away is not created again.
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} cannot be created: {reason_of(error)}") from error
        self._write(
            Event(file_version=_VERSION),
            Event(step=step, session_log=SessionLog(status=SessionLog.START)),
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add the numbers of a step.

        Raises:
            OutputError: they cannot be written.
        """
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(step=step, summary=Summary(value=scalars)))

    def _write(self, *events: Event) -> None:
        try:
            with self._path.open("ab") as file:
                writer = RecordWriter(file)
                for event in events:
                    event.wall_time = time.time()
                    writer.write(event.SerializeToString())
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {reason_of(error)}") from error
