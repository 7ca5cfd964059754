"""What a file is compared with: every way through it, and ties that two right programs see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mriseg.backends import reference_backend
from mriseg.core.deploy_scan import DeployedScan
from mriseg.engine.inference import ready
from mriseg.errors import ExportError
from mriseg.events import Event, Notice, finish
from mriseg.io.exporters import LoadedExport
from mriseg.recipes.export import deployed
from mriseg.recipes.export_check import FEW, LIMIT, Check
from mriseg.recipes.load import load_model
from tests.recipes.test_export import a_run


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Check, LoadedExport]:
    """A check of a run, and the run's own network as what a file would be."""
    run, backend = a_run(tmp_path_factory.mktemp("run")), reference_backend()
    model = load_model(run, backend)
    network = deployed(model, run)
    scan = DeployedScan(network)
    check = Check("x", "any", ready(model, backend), backend, run.manifest)
    return check, LoadedExport(network, {}, "x", scan.scan)


def changed(
    exported: LoadedExport, change: Callable[[int, Tensor], Tensor], sizes: list[list[int]]
) -> LoadedExport:
    """The same with outputs that are changed; ``sizes`` collects the shapes of the inputs."""

    def predict(image: Tensor, *given: Tensor | None) -> Tensor:
        sizes.append(list(image.shape))
        return change(len(sizes), exported.predict(image, *given))  # type: ignore[arg-type]

    return replace(exported, predict=predict, predict_scan=None)


def test_every_way_through_a_file_is_taken(checked: tuple[Check, LoadedExport]) -> None:
    check, exported = checked
    sizes: list[list[int]] = []
    assert finish(check.differences(changed(exported, lambda _, p: p, sizes))) <= LIMIT
    h, w = check.manifest.frame
    assert {(y <= h, x <= w) for _, _, y, x in sizes} == {
        (True, True),
        (False, True),
        (True, False),
        (False, False),
    }
    assert {b for b, *_ in sizes} >= {1, 3}
    assert all(y % 32 and x % 32 for _, _, y, x in sizes)


def test_whole_scans_are_compared_where_a_file_takes_them(
    checked: tuple[Check, LoadedExport],
) -> None:
    check, exported = checked
    assert finish(check.differences(exported)) <= LIMIT
    assert exported.predict_scan is not None
    scan = exported.predict_scan
    wrong = replace(exported, predict_scan=lambda volume: scan(volume * 1.1 + 3).flip(1))
    with pytest.raises(ExportError, match="does not give the model's output"):
        finish(check.differences(wrong))


def test_a_tie_is_drawn_anew_and_said(checked: tuple[Check, LoadedExport]) -> None:
    check, exported = checked
    events: list[Event] = []

    def once(count: int, output: Tensor) -> Tensor:
        output[0, 0, 0, 0] += 1e-3 * (count == 2)
        return output

    assert finish(check.differences(changed(exported, once, [])), events.append) <= LIMIT
    [notice] = [event.text for event in events if isinstance(event, Notice)]
    assert "1 draw of noise differed in a few voxels" in notice


@pytest.mark.parametrize("share", [0.5 * FEW, 3 * FEW])
def test_few_voxels_may_differ_in_every_draw_and_no_more(
    share: float, checked: tuple[Check, LoadedExport]
) -> None:
    check, exported = checked

    def some(_: int, output: Tensor) -> Tensor:
        flat = output.reshape(-1)
        count = max(1, int(share * len(flat)))
        flat[:count] = (flat[:count] + 5e-3).clamp(max=1)
        return flat.view(output.shape)

    wrong = changed(exported, some, [])
    if share < FEW:
        assert finish(check.differences(wrong)) > LIMIT
    else:
        with pytest.raises(ExportError, match="allowed are 1e-05"):
            finish(check.differences(wrong))


def test_of_a_format_for_frames_only_the_frame_is_asked(
    checked: tuple[Check, LoadedExport],
) -> None:
    check, exported = checked
    sizes: list[list[int]] = []
    finish(replace(check, sizes="frame").differences(changed(exported, lambda _, p: p, sizes)))
    assert {tuple(size) for size in sizes} == {(1, 2, *check.manifest.frame)}
    assert torch.is_tensor(exported.predict(*_frame(check)))


def _frame(check: Check) -> tuple[Tensor, Tensor, Tensor, None]:
    return torch.zeros(1, 2, *check.manifest.frame), torch.zeros(2), torch.ones(2), None
