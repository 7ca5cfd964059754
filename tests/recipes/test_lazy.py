"""What is held is made once here, and once where it is sent to."""

from __future__ import annotations

import pickle
from functools import partial

from mriseg.recipes import lazy
from mriseg.recipes.lazy import Lazy


def test_it_is_made_at_first_use_and_never_where_it_is_given() -> None:
    calls: list[int] = []
    held_list = Lazy("key", partial(_made, calls))
    assert not calls
    assert held_list() is held_list() and calls == [1]
    assert Lazy("key", partial(_made, calls), "given")() == "given" and calls == [1]


def test_one_that_is_sent_is_made_once_per_process_and_few_are_kept() -> None:
    first = pickle.loads(pickle.dumps(Lazy("a", dict, {"not": "sent"})))
    again = pickle.loads(pickle.dumps(Lazy("a", dict)))
    assert first() == {} and first() is again()
    for key in range(lazy._MOST):
        pickle.loads(pickle.dumps(Lazy(key, dict)))()
    assert pickle.loads(pickle.dumps(Lazy("a", dict)))() is not first()
    # Sent on, as a worker's own workers would get it.
    assert pickle.loads(pickle.dumps(first))() == {}


def _made(into: list[int]) -> str:
    into.append(1)
    return "made"
