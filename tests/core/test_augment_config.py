from __future__ import annotations

from mriseg.core.augment_config import AugmentConfig
from mriseg.core.settings import parse


def test_augmentation_can_be_switched_off() -> None:
    amounts = {"rotation", "scale", "shift", "shear", "elastic_strength"}
    names = AugmentConfig.model_fields.keys() - amounts
    off = parse(AugmentConfig, dict.fromkeys(names, 0))
    assert not any(getattr(off, name) for name in names)
