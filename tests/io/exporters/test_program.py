"""The program that ONNX and pt2 files hold."""

from __future__ import annotations

import logging
import warnings

import torch

from mriseg.io.exporters.program import full, program_of, quiet
from mriseg.testing.exporters import slices
from tests.io.exporters.one_level import one_level


def test_a_program_has_free_sizes_and_no_lines_of_code() -> None:
    network = one_level()
    program = program_of(network)
    assert not any("stack_trace" in node.meta for node in program.graph.nodes)
    module = program.module()
    predict = full(lambda *given: module(*given), 2)
    for size in [(3, 45, 70), (1, 65, 97)]:
        for by_slice in (False, True):
            for masked in (False, True):
                given = slices(*size, by_slice=by_slice, masked=masked)
                torch.testing.assert_close(predict(*given), network(*given), rtol=0, atol=1e-6)


def test_what_is_quiet_is_quiet_only_inside() -> None:
    with warnings.catch_warnings(record=True) as heard, quiet():
        warnings.warn("inside", stacklevel=1)
        assert not logging.getLogger("anything").isEnabledFor(logging.WARNING)
    assert not heard
    assert logging.getLogger("anything").isEnabledFor(logging.WARNING)
