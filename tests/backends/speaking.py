"""A rank that asks the others all that there is to ask, and prints what it hears, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch

from mriseg.backends import launch, select
from mriseg.errors import ConfigError


@dataclass(frozen=True)
class Kind:
    value: tuple[int, ...]


def main() -> None:
    ranks = launch.ranks()
    assert ranks is launch.ranks()
    own = float(ranks.rank)
    sums = [torch.full((2, 3), own + 1), torch.tensor(own)]
    ranks.sum_(sums)
    same = [torch.full((3,), own), torch.tensor(ranks.rank)]
    ranks.same_(same)
    large = np.arange(1000 * (1 - ranks.rank), dtype=np.float32)
    sent = ranks.agree((Kind((ranks.rank,)), large), Kind)
    sizes = [each.size for each in ranks.gather(np.zeros(3 * ranks.rank))]
    backend = launch.together(select("cpu", precision="fp32"), ranks)
    try:
        ranks.check_alike(str(ranks.rank), ConfigError, "do so")
        unlike = ""
    except ConfigError as error:
        unlike = str(error)
    print(
        json.dumps(
            {
                "place": [ranks.rank, ranks.world, ranks.first],
                "stacked": ranks.stacked(torch.tensor([own, -own])).tolist(),
                "sums": [each.tolist() for each in sums],
                "same": [each.tolist() for each in same],
                "agreed": [ranks.agree(own + 0.1), list(sent[0].value), sent[1].size],
                "sizes": sizes,
                "woven": ranks.woven([Kind((item,)).value for item in ranks.own(range(5))]),
                "compile": [backend.compile, backend.ranks is ranks, backend.notes[0]],
                "unlike": unlike,
            }
        )
    )


if __name__ == "__main__":
    main()
