from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.errors import CaseError, ConfigError, InputError
from mriseg.io import readers
from mriseg.io.readers import Listing, ReaderOptions
from mriseg.io.readers.nnunet import READER
from mriseg.testing import ReaderContract, Truth, phantoms

SHAPE = (4, 6, 5)


def find(root: Path, *channels: str) -> Listing:
    return READER.find(root, ReaderOptions(channels or None))


class NnunetContract(ReaderContract):
    reader = READER
    style = "nnunet"
    modalities: tuple[str, ...] = ("t1", "flair")
    names: tuple[str, ...] = ("T1", "FLAIR")

    def write(self, root: Path) -> Truth:
        paths = phantoms.write_nnunet(
            root, 3, shape=SHAPE, modalities=self.modalities, style=self.style
        )
        truth = {}
        for index, path in enumerate(paths):
            images, brats = phantoms.head(
                np.random.default_rng([0, index]), SHAPE, modalities=self.modalities
            )
            labels = np.select([brats == 2, brats > 0], [2, 1], 0)
            shown = {
                name: np.rint(images[key])
                for name, key in zip(self.names, self.modalities, strict=True)
            }
            truth[path.name.removesuffix(".nii.gz")] = (shown, labels)
        return truth


class TestNnunet(NnunetContract):
    pass


class TestDecathlonOf4Axes(NnunetContract):
    style = "msd"


class TestDecathlonOf3Axes(NnunetContract):
    style = "msd"
    modalities = ("t1",)
    names = ("T1",)


class TestPlainOf3Axes(NnunetContract):
    style = "plain"
    modalities = ("t1",)
    names = ("image",)


class TestPlainOf4Axes(NnunetContract):
    style = "plain"
    names = ("channel0", "channel1")


class TestPlainWithChannelsNamed(NnunetContract):
    style = "plain"
    names = ("T1", "FLAIR")
    options = ReaderOptions(("t1n", "T2-FLAIR"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    phantoms.write_nnunet(tmp_path, 3, shape=SHAPE, modalities=("t1", "flair"))
    return tmp_path


def describe(root: Path, **changes: Any) -> None:
    path = root / "dataset.json"
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


class TestChannels:
    def test_given_names_take_precedence_over_the_files(self, root: Path) -> None:
        assert find(root, "T2", "ADC").cases[0].modalities == ("T2", "ADC")

    def test_older_descriptions_say_modality(self, root: Path) -> None:
        describe(root, channel_names=None, modality={"0": "T1gd", "1": "T2w"})
        assert find(root).cases[0].modalities == ("T1CE", "T2")

    def test_names_are_in_the_order_of_their_numbers(self, root: Path) -> None:
        describe(root, channel_names={"1": "T2", "0": "T1"})
        assert find(root).cases[0].modalities == ("T1", "T2")

    def test_placeholder_names_are_reported(self, tmp_path: Path) -> None:
        phantoms.write_nnunet(tmp_path, 1, shape=SHAPE, style="plain")
        listing = find(tmp_path)
        assert listing.cases[0].modalities == ("image",)
        assert "they are called image" in listing.notices[0]
        assert find(tmp_path, "T1").notices == ()

    def test_another_number_of_names(self, root: Path) -> None:
        with pytest.raises(ConfigError, match=r"1 channels were named \(T1\), but the files .* 2"):
            find(root, "T1")

    @pytest.mark.parametrize("names", [("T1", "t1n"), ("T1", "seg")])
    def test_names_that_mean_the_same(self, root: Path, names: tuple[str, str]) -> None:
        with pytest.raises(ConfigError, match="must be distinct"):
            find(root, *names)

    def test_a_case_may_lack_a_channel(self, root: Path) -> None:
        (root / "imagesTr" / "phantom_002_0000.nii.gz").unlink()
        case = find(root).cases[1]
        assert case.modalities == ("FLAIR",)
        assert tuple(case.load().images) == ("FLAIR",)

    def test_a_file_with_other_channels_than_the_rest(self, tmp_path: Path) -> None:
        phantoms.write_nnunet(tmp_path, 2, shape=SHAPE, modalities=("t1", "t2"), style="msd")
        phantoms.write_nifti(tmp_path / "imagesTr" / "phantom_002.nii.gz", np.ones(SHAPE, np.int16))
        with pytest.raises(
            CaseError, match=r"phantom_002.nii.gz has 1 channels; expected 2 \(T1, T2"
        ):
            find(tmp_path).cases[1].load()

    def test_four_digits_in_a_cases_own_name(self, tmp_path: Path) -> None:
        for folder in ("images", "labels"):
            phantoms.write_nifti(
                tmp_path / folder / "case_2019.nii", np.eye(4, dtype=np.uint8)[None]
            )
        assert [case.name for case in find(tmp_path).cases] == ["case_2019"]

    def test_channels_without_labels(self, tmp_path: Path) -> None:
        phantoms.write_nnunet(tmp_path, 2, shape=SHAPE, modalities=("t1", "t2"), labelled=False)
        listing = find(tmp_path)
        assert [case.name for case in listing.cases] == ["phantom_001", "phantom_002"]
        assert not any(case.labelled for case in listing.cases)


class TestFolders:
    def test_a_folder_around_the_data_set(self, root: Path) -> None:
        assert readers.find(root)[0] == "nnunet"
        inner = root / "Task04_Phantom"
        inner.mkdir()
        for name in ("imagesTr", "labelsTr", "dataset.json"):
            (root / name).rename(inner / name)
        assert readers.find(root)[0] == "nnunet"
        assert len(find(root).cases) == 3

    def test_test_images_are_left_alone(self, root: Path) -> None:
        phantoms.write_nifti(root / "imagesTs" / "x_0000.nii.gz", np.ones(SHAPE, np.int16))
        assert "x" not in {case.name for case in find(root).cases}

    def test_hidden_files_are_left_alone(self, root: Path) -> None:
        (root / "imagesTr" / "._phantom_001_0000.nii.gz").write_bytes(b"\0")
        (root / "labelsTr" / "._phantom_001.nii.gz").write_bytes(b"\0")
        assert len(find(root).cases) == 3

    def test_an_image_without_a_label(self, root: Path) -> None:
        (root / "labelsTr" / "phantom_002.nii.gz").unlink()
        assert [case.labelled for case in find(root).cases] == [True, False, True]

    def test_a_label_without_an_image(self, root: Path) -> None:
        for path in (root / "imagesTr").glob("phantom_002*"):
            path.unlink()
        assert find(root).skipped == (("phantom_002", "it has a label but no image"),)

    def test_no_image(self, tmp_path: Path) -> None:
        (tmp_path / "imagesTr").mkdir()
        with pytest.raises(InputError, match="no NIfTI file"):
            find(tmp_path)

    def test_images_alone_are_no_layout(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        assert not READER.matches(tmp_path)

    def test_a_label_of_another_shape(self, root: Path) -> None:
        phantoms.write_nifti(
            root / "labelsTr" / "phantom_001.nii.gz", np.zeros((3, 6, 5), np.uint8)
        )
        with pytest.raises(
            CaseError, match=r"segmentation phantom_001.nii.gz has the shape 5 x 6 x 3"
        ):
            find(root).cases[0].load()


class TestRegions:
    def test_as_described(self, root: Path) -> None:
        listing = find(root)
        assert listing.regions == {"foreground": (1, 2), "core": (1,), "oedema": (2,)}
        assert next(iter(listing.regions)) == "foreground"
        assert listing.labels == {1: "core", 2: "oedema"}

    def test_as_the_decathlon_describes_them(self, tmp_path: Path) -> None:
        phantoms.write_nnunet(tmp_path, 1, shape=SHAPE, style="msd")
        assert find(tmp_path).regions == {"foreground": (1, 2), "core": (1,), "oedema": (2,)}

    def test_regions_of_several_labels_and_labels_to_ignore(self, root: Path) -> None:
        labels = {"background": 0, "whole Tumour": [1, 2, 3], "core": [2, 3], "x": 3, "ignore": 4}
        describe(root, labels=labels)
        listing = find(root)
        assert listing.regions == {
            "foreground": (1, 2, 3),
            "whole Tumour": (1, 2, 3),
            "core": (2, 3),
            "x": (3,),
        }
        assert listing.labels == {3: "x"}

    def test_undescribed_labels_are_looked_up_in_the_files(self, tmp_path: Path) -> None:
        paths = phantoms.write_nnunet(tmp_path, 2, shape=SHAPE, style="plain")
        phantoms.write_nifti(paths[0], np.full(SHAPE, 3, np.uint8))
        paths[1].write_bytes(b"no label file")
        listing = find(tmp_path)
        assert listing.regions == {"foreground": (3,), "label3": (3,)}
        assert len(listing.cases) == 2

    def test_many_large_undescribed_labels_are_not_all_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mriseg.io.readers.nnunet._CHEAP_BYTES", 10)
        paths = phantoms.write_nnunet(tmp_path, 2, shape=SHAPE, style="plain")
        phantoms.write_nifti(paths[0], np.full(SHAPE, 3, np.uint8))
        listing = find(tmp_path)
        assert listing.regions["label3"] == (3,)
        assert "label1" not in listing.regions
        # No label that the second file may hold is left out.
        assert listing.regions["foreground"] == tuple(range(1, 256))


class TestDescription:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("<!DOCTYPE html>", "is not JSON"),
            ("[1, 2]", "not an object"),
            ('{"channel_names": ["T1"]}', "should hold"),
            ('{"channel_names": {"a": "T1"}}', "should hold"),
            ('{"labels": {"a": "b"}}', "should hold"),
            ('{"labels": {"a": 300}}', "should hold"),
            ('{"labels": {"a": []}}', "should hold"),
            ('{"labels": 7}', "should hold"),
            ("[" * 100_000, "is not JSON"),
        ],
    )
    def test_a_damaged_one(self, root: Path, text: str, why: str) -> None:
        (root / "dataset.json").write_text(text)
        with pytest.raises(InputError, match=why):
            find(root)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=3) | st.just("0"), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        st.sampled_from(["labels", "channel_names", "modality"]),
    )
    def test_any_json(self, tmp_path_factory: pytest.TempPathFactory, value: Any, key: str) -> None:
        root = tmp_path_factory.mktemp("json")
        phantoms.write_nifti(root / "imagesTr" / "x.nii", np.ones((1, 2, 2), np.uint8))
        (root / "dataset.json").write_text(json.dumps({key: value}))
        try:
            listing = find(root)
        except (InputError, ConfigError):
            return
        assert all(1 <= v <= 255 for values in listing.regions.values() for v in values)


@pytest.mark.realdata
class TestRealCases:
    def test_the_hippocampus(self, hippocampus_dir: Path) -> None:
        name, listing = readers.find(hippocampus_dir, "auto", ReaderOptions(("T1",)))
        assert name == "nnunet"
        assert len(listing.cases) == 208
        assert listing.regions == {"foreground": (1, 2), "label1": (1,), "label2": (2,)}
        types = set()
        for case in listing.cases:
            loaded = case.load()
            assert loaded.labels is not None
            assert set(np.unique(loaded.labels)) == {0, 1, 2}
            assert loaded.notices == ()
            types.add(loaded.images["T1"].dtype.name)
        assert types == {"uint8", "float32"}
