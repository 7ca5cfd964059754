"""What `bench` measures is there, hangs together, and survives JSON. No time is asserted."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg import api
from mriseg.backends import Backend
from mriseg.core.config import parse
from mriseg.core.cost import cost
from mriseg.core.volume import SliceRef
from mriseg.engine.timing import Timing
from mriseg.engine.workloads import BenchConfig
from mriseg.errors import ConfigError, InputError
from mriseg.events import Advanced, Began, Event, finish
from mriseg.io.disk.documents import write_json
from mriseg.io.store import Store, StoreSpec, create
from mriseg.recipes.bench import BenchReport, Work, _random_batches, bench

TINY = BenchConfig(width=8, batch_size=2, size=(40, 33), quick=True)


@pytest.fixture(scope="module")
def seen() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def report(cpu: Backend, seen: list[Event]) -> BenchReport:
    """Of the sample, in float32."""
    return finish(bench(cpu, TINY), seen.append)


def test_the_numbers_hang_together(report: BenchReport) -> None:
    counted = cost(TINY.network, TINY.batch_size, TINY.size)
    assert report.training.operations == counted.training
    assert report.inference.operations == counted.forward
    [product] = report.products  # float32 is the backend's own precision here
    assert product.dtype == "float32" and product.side >= 1024
    for work in (report.training, report.inference):
        check_timing(work.seconds)
        assert work.images_per_second == pytest.approx(TINY.batch_size / work.seconds.median)
        rate = work.operations / work.seconds.median
        assert work.share == pytest.approx(rate / product.operations_per_second)
        # A network this narrow is far from the rate of large matrices, on any machine.
        assert 0 < work.share < 1
        assert work.memory is None or work.memory >= 0
    check_timing(report.reading.seconds)
    check_timing(report.preprocessing.seconds)
    assert report.reading.cases == report.preprocessing.cases == 3
    assert report.reading.source == "the sample in the package"
    assert report.parameters > 100_000 and not report.compiled


def check_timing(timing: Timing) -> None:
    assert 0 < timing.low <= timing.median <= timing.high and timing.runs >= 1


def test_it_reports_its_progress(report: BenchReport, seen: list[Event]) -> None:
    [began] = [event for event in seen if isinstance(event, Began)]
    done = [event.done for event in seen if isinstance(event, Advanced)]
    assert done == sorted(done) and set(done) == set(range(began.total + 1))


def test_it_goes_through_json(report: BenchReport, tmp_path: Path) -> None:
    data = report.to_json()
    write_json(tmp_path / "bench.json", data)
    assert json.loads((tmp_path / "bench.json").read_text()) == data
    assert (data["format"], data["version"]) == ("mriseg-bench", 1)
    assert data["machine"]["chosen"]["decisions"]
    assert data["config"] == {"width": 8, "batch_size": 2, "size": [40, 33], "quick": True}
    # Nothing is lost: what went in is made of what came out.
    assert Work(**{**data["training"], "seconds": Timing(**data["training"]["seconds"])}) == (
        report.training
    )


def test_the_documentation_names_every_key(report: BenchReport) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    data = report.to_json()
    keys = set(data) | {"median", "low", "high", "runs"}
    keys |= {key for value in data.values() if isinstance(value, dict) for key in value}
    assert [key for key in sorted(keys) if f"`{key}`" not in text and f'"{key}"' not in text] == []


@pytest.mark.slow
def test_a_store_of_ones_own_in_another_precision(brats_store: Store) -> None:
    report = api.bench(
        brats_store,
        width=8,
        batch_size=3,
        size="32x48",
        quick=True,
        backend=api.select("cpu", precision="bf16"),
    )
    assert report.config.size == (32, 48)
    assert report.reading.source == brats_store.location
    assert report.reading.cases == len(brats_store.cases())
    assert report.reading.batch_size == 3
    assert [product.dtype for product in report.products] == ["bfloat16", "float32"]


def test_what_cannot_be_measured(cpu: Backend, tmp_path: Path) -> None:
    empty = create(tmp_path / "empty.zarr", StoreSpec({"WT": (1,)}))
    with pytest.raises(InputError, match="holds no case"):
        finish(bench(cpu, TINY, empty))
    for refused in ({"width": 9}, {"size": (16, 240)}, {"batch_size": 0}):
        with pytest.raises(ConfigError, match=next(iter(refused))):
            parse(BenchConfig, refused)
    with pytest.raises(ConfigError, match="expected height x width"):
        api.bench(size="240", backend=cpu)


@settings(max_examples=20)
@given(slices=st.integers(1, 30), size=st.integers(1, 40))
def test_random_batches_take_every_slice_before_any_again(slices: int, size: int) -> None:
    refs = [SliceRef("case", z) for z in range(slices)]
    batches = list(islice(_random_batches(refs, size), 2 * slices))
    assert all(len(batch) == size for batch in batches)
    drawn = [ref for batch in batches for ref in batch]
    whole = len(drawn) // slices
    assert all(drawn.count(ref) in (whole, whole + 1) for ref in refs)
