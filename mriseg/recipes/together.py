"""Processes that train together, before the first step: can they, and do they mean the same?"""

from __future__ import annotations

import hashlib
import json

from mriseg.backends.ranks import Ranks
from mriseg.core.wording import counted
from mriseg.errors import ConfigError, InputError
from mriseg.recipes.setup import Setup


def check_together(ranks: Ranks, setup: Setup, epoch: int = 0, step: int = 0) -> None:
    """Make sure that these processes can train together, before anything is written.

    Each of them has read the store, and what it resumes, by itself. When this returns, all have.

    Args:
        ranks: the processes.
        setup: what this one plans.
        epoch: the epoch that this one would begin or continue.
        step: steps that it finds done.

    Raises:
        ConfigError: a batch has fewer slices than there are processes, or the settings differ.
        InputError: the store, or what is resumed, differs.
    """
    if not ranks.several:
        return
    size = setup.config.batch_size
    if size < ranks.world:
        raise ConfigError(
            f"a batch of {counted(size, 'slice')} cannot be divided among {ranks.world} processes: "
            f"start at most {size}, or train with --batch-size {ranks.world} or more"
        )
    config = setup.config.model_dump_json()
    plan = [[ref.case, ref.slice] for batch in setup.plan(epoch) for ref in batch.refs]
    task = [setup.task.modalities, setup.task.regions, setup.task.frame, setup.split.validation]
    contents = [case.content for case in setup.index.cases]
    stored = hashlib.sha256(json.dumps([plan, task, contents]).encode()).hexdigest()
    every = ranks.gather((config, stored, step))
    first_config, first_store, first_step = every[0]
    for rank, (their_config, their_store, their_step) in enumerate(every):
        other = f"rank {rank} of {ranks.world}"
        if their_config != first_config:
            raise ConfigError(f"{other} has other settings than rank 0: start all of them alike")
        if their_store != first_store:
            raise InputError(
                f"{other} finds other cases in the store than rank 0: all of them have to read one "
                f"store, or copies of one"
            )
        if their_step != first_step:
            raise InputError(
                f"{other} finds {their_step} steps of the run done, and rank 0 {first_step}: all "
                f"of them have to read one run folder"
            )
