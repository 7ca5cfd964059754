"""Real processes, joined by Gloo: what they tell one another, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ranks import each, environment, free_port

SCRIPT = str(Path(__file__).with_name("speaking.py"))
JOIN = "from mriseg.backends import launch; ranks = launch.ranks()\nwith ranks.explaining(): "


def test_two_processes_tell_one_another(tmp_path: Path) -> None:
    ends = each(tmp_path, [SCRIPT], [SCRIPT])
    assert [end.returncode for end in ends] == [0, 0], ends[0].stderr + ends[1].stderr
    one, other = (json.loads(end.stdout) for end in ends)
    assert (one.pop("place"), other.pop("place")) == ([0, 2, True], [1, 2, False])
    assert one == other
    assert one == {
        "stacked": [[0, 0], [1, -1]],
        "sums": [[[3, 3, 3], [3, 3, 3]], 1],
        "same": [[0, 0, 0], 0],
        "agreed": [0.1, [0], 1000],
        "sizes": [0, 3],
        "woven": [[0], [1], [2], [3], [4]],
        "compile": ["never", True, "2 processes train together, by Gloo"],
        "unlike": "rank 1 of 2 has 1, and rank 0 of 2 0: do so",
    }
    assert "Error" not in ends[0].stderr + ends[1].stderr


def test_who_waits_for_one_that_failed_ends_with_its_reason(tmp_path: Path) -> None:
    fails = f"{JOIN}raise OSError(28, 'no space', 'a.csv')"
    ends = each(tmp_path, ["-c", f"{JOIN}ranks.agree(1); ranks.gather(2)"], ["-c", fails])
    assert "RankError: rank 1 of 2: no space" in ends[0].stderr
    assert [end.returncode for end in ends] == [1, 1]


@pytest.mark.slow
def test_who_waits_for_one_that_was_killed_says_who(tmp_path: Path) -> None:
    dies = f"{JOIN}import os; ranks.gather(1); os.kill(os.getpid(), 9)"
    waits = f"{JOIN}ranks.gather(1); ranks.gather(2)"
    for words in ([waits, dies, waits], [dies, waits, waits]):
        ends = each(tmp_path, *(["-c", code] for code in words))
        dead = words.index(dies)
        alive = [end for rank, end in enumerate(ends) if rank != dead]
        assert ends[dead].returncode == -9
        for end in alive:
            assert f"rank {dead} of 3 ended without a word: killed" in end.stderr


def test_a_program_with_a_group_of_its_own_is_told_so(tmp_path: Path) -> None:
    code = (
        "import torch.distributed as dist\n"
        "dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)\n"
        "from mriseg.backends import launch\n"
        "launch.ranks()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment(0, 2, free_port())},
        capture_output=True,
        text=True,
    )
    assert "ConfigError: this program has called torch.distributed.init_process" in done.stderr
