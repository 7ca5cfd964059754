"""The plan of a training, and what is refused before its first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError, InputError
from mriseg.events import finish
from mriseg.io.runs import open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.setup import plan_training
from mriseg.testing import phantoms
from tests.trainings import changed, run_training


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"modalities": ["T1", "PD"]}, ConfigError, "no modality PD; it has T1, T1CE, T2, FLAIR"),
        ({"regions": ["WT", "lesion"]}, ConfigError, "no region lesion; it has WT, TC, ET"),
        ({"loss": "bce+dcie"}, ConfigError, "dcie"),
        ({"encoder_weights": "/nowhere.pth"}, InputError, "nowhere"),
    ],
)
def test_what_the_store_lacks_is_refused_at_once(
    brats_store: Store,
    tiny: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    values: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        run_training(brats_store, changed(tiny, **values), cpu, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_store_without_segmentations_is_refused(
    tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    phantoms.write_brats(tmp_path / "src", 2, labelled=False)
    finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", workers=1))
    with pytest.raises(InputError, match=r"none of the cases in .* \(2 cases\) has a segmentation"):
        run_training(open_store(tmp_path / "out.zarr"), tiny, cpu, tmp_path / "run")


def test_healthy_cases_alone_are_refused(tiny: TrainConfig, cpu: Backend, tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src", 2, tumour=False)
    finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", workers=1))
    with pytest.raises(InputError, match="no training case has a voxel of WT"):
        run_training(open_store(tmp_path / "out.zarr"), tiny, cpu, tmp_path / "run")


def test_one_patient_is_too_few(tiny: TrainConfig, cpu: Backend, tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src", 1)
    finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", workers=1))
    with pytest.raises(ConfigError, match="two labelled patients"):
        run_training(open_store(tmp_path / "out.zarr"), tiny, cpu, tmp_path / "run")


def test_missing_modalities_are_read_as_zeros_or_skipped(
    tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    phantoms.write_brats(tmp_path / "src" / "a", 3)
    phantoms.write_brats(tmp_path / "src" / "b", 1, seed=9, modalities=("flair",))
    finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", workers=1))
    store = open_store(tmp_path / "out.zarr")
    zero = plan_training(store, changed(tiny, missing="zero"))
    assert len(zero.index.cases) == 4
    assert zero.incomplete == any("b__" in name for name in zero.split.train)
    assert "1 lacks T1, 1 lacks T2" in " ".join(zero.notices)
    skip = plan_training(store, changed(tiny, missing="skip"))
    assert len(skip.index.cases) == 3 and not skip.incomplete
    assert plan_training(store, changed(tiny, modalities=["FLAIR"])).notices == ()
    config = changed(tiny, epochs=1, slices_per_epoch=8)
    run_training(store, config, cpu, tmp_path / "run")
    assert open_run(tmp_path / "run").manifest.incomplete == zero.incomplete


def test_cases_are_excluded_or_validate_by_name(brats_store: Store, tiny: TrainConfig) -> None:
    names = [case.name for case in brats_store.index().cases]
    setup = plan_training(
        brats_store, changed(tiny, exclude=[names[0]], validation_cases=[names[2]])
    )
    assert setup.split.validation == (names[2],)
    assert set(setup.split.train) == {names[1], names[3]}
    for key in ("exclude", "validation_cases"):
        with pytest.raises(ConfigError, match="nobody"):
            plan_training(brats_store, changed(tiny, **{key: ["nobody"]}))
    with pytest.raises(ConfigError):
        plan_training(brats_store, changed(tiny, validation_cases=names))


def test_the_frame_can_be_limited(brats_store: Store, tiny: TrainConfig) -> None:
    assert plan_training(brats_store, tiny).task.frame == (64, 32)
    assert plan_training(brats_store, changed(tiny, size=(32, 256))).task.frame == (32, 32)


def test_what_the_store_has_and_nobody_reads_is_said(brats_store: Store, tiny: TrainConfig) -> None:
    config = changed(tiny, modalities=None)
    setup = plan_training(brats_store, config)
    assert setup.task.modalities == ("T1", "T2", "FLAIR")
    assert any(
        "T1CE, which the store has, is not used; add it with --modalities T1,T1CE,T2,FLAIR" in text
        for text in setup.notices
    )
    # Whoever named them knows.
    named = plan_training(brats_store, changed(tiny, modalities=["flair", "t1"]))
    assert named.task.modalities == ("FLAIR", "T1")
    assert not any("not used" in text for text in named.notices)
    with pytest.raises(ConfigError, match=r"no modality FLAIRE; .*did you mean FLAIR\?"):
        plan_training(brats_store, changed(tiny, modalities=["FLAIRE"]))


@pytest.mark.parametrize(
    ("source", "read", "said"),
    [
        (("T1", "T1CE", "T2", "FLAIR"), ("T1", "T1CE", "T2", "FLAIR"), ""),
        (("FLAIR", "T1CE"), ("FLAIR", "T1CE"), "T1, T2, which the store has, are not used"),
        (("T1", "T2", "FLAIR"), ("T1", "T2", "FLAIR"), "T1CE, which the store has, is not used"),
        (("T1CE", "ADC"), ("T1CE",), "ADC, which the source reads, is in no case of the store"),
        (("ADC",), ("T1", "T1CE", "T2", "FLAIR"), "lacks all of ADC, which the source reads"),
    ],
)
def test_a_transfer_reads_what_its_source_reads(
    brats_store: Store,
    tiny: TrainConfig,
    source: tuple[str, ...],
    read: tuple[str, ...],
    said: str,
) -> None:
    setup = plan_training(brats_store, changed(tiny, modalities=None), source=source)
    assert setup.task.modalities == read
    about = [text for text in setup.notices if "which the" in text]
    assert any(said in text for text in about) if said else not about
    named = plan_training(brats_store, changed(tiny, modalities=["T2"]), source=source)
    assert named.task.modalities == ("T2",)


def test_the_training_cases_decide_the_pixel_size_and_others_are_counted(
    brats_store: Store, tiny: TrainConfig, tmp_path: Path
) -> None:
    setup = plan_training(brats_store, tiny)
    assert setup.task.spacing == pytest.approx((1, 1))
    assert not any("pixels" in text for text in setup.notices)
    source = tmp_path / "src"
    for number, spacing in enumerate(((5, 0.9, 0.8), (5, 0.9, 0.8), (5, 0.9, 1.0), (5, 2, 2))):
        images, labels = phantoms.head(np.random.default_rng(number))
        phantoms.write_brats_case(source / f"case_{number}", images, labels, spacing=spacing)
    finish(preprocess(source, tmp_path / "out.zarr", workers=1))
    store = open_store(tmp_path / "out.zarr")
    setup = plan_training(store, changed(tiny, validation=0.0))
    assert setup.task.spacing == pytest.approx((0.9, 0.9))
    text = "of 4 training cases 1 has pixels that differ by more than a fifth from the median, "
    assert f"{text}0.9 x 0.9 mm: trained on as they are, not resampled" in setup.notices
    # What validates has no say in it.
    held = plan_training(store, changed(tiny, validation_cases=["case_2", "case_3"]))
    assert held.task.spacing == pytest.approx((0.9, 0.8))
    assert not any("pixels" in text for text in held.notices)


def test_slices_without_a_pixel_size_leave_it_open(tiny: TrainConfig, tmp_path: Path) -> None:
    phantoms.write_lgg(tmp_path / "src", 2)
    finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", workers=1))
    setup = plan_training(open_store(tmp_path / "out.zarr"), tiny)
    assert setup.task.spacing is None and setup.unit == "px"
