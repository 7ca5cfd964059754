"""How training slices are varied, as a user can set it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mriseg.core.settings import BelowOne, Config, Fraction, Setting


class AugmentConfig(Config):
    """How training slices are varied. Probabilities are per slice; 0 switches a part off."""

    flip: Annotated[Fraction, Setting("Probability of mirroring left and right")] = 0.5
    vertical_flip: Annotated[
        Fraction,
        Setting(
            "Probability of mirroring front and back (in axial slices). Off, since it hides what "
            "tells apart structures along this axis, such as the two ends of a hippocampus"
        ),
    ] = 0.0
    affine: Annotated[
        Fraction, Setting("Probability of rotation, scaling, shift and shear together")
    ] = 0.7
    rotation: Annotated[
        float,
        Field(ge=0, le=180),
        Setting("Largest rotation; uniform between plus and minus this", unit="degrees"),
    ] = 20.0
    scale: Annotated[BelowOne, Setting("Largest change of size; 0.2 scales by 0.8 to 1.2")] = 0.2
    shift: Annotated[BelowOne, Setting("Largest shift", unit="share of the slice's size")] = 0.06
    shear: Annotated[BelowOne, Setting("Largest shear; uniform between plus and minus this")] = 0.05
    elastic: Annotated[Fraction, Setting("Probability of an elastic deformation")] = 0.2
    elastic_strength: Annotated[
        float,
        Field(ge=0, lt=0.5),
        Setting(
            "Standard deviation of the displacements of its control points",
            unit="share of the slice's size",
        ),
    ] = 0.015
    gamma: Annotated[Fraction, Setting("Probability of a gamma change, per modality")] = 0.3
    contrast: Annotated[
        Fraction, Setting("Probability of a change of contrast and brightness, per modality")
    ] = 0.4
    noise: Annotated[Fraction, Setting("Probability of added Gaussian noise")] = 0.2
    blur: Annotated[Fraction, Setting("Probability of blurring")] = 0.15
    bias: Annotated[Fraction, Setting("Probability of a smooth bias field")] = 0.3
    target_contrast: Annotated[
        Fraction,
        Setting(
            "Probability of a change of the labelled region's contrast to the rest of the brain"
        ),
    ] = 0.5
    low_resolution: Annotated[
        Fraction, Setting("Probability of simulating a coarser in-plane resolution, per modality")
    ] = 0.0
    drop_modality: Annotated[
        Fraction,
        Setting(
            "Probability of hiding a random subset of the modalities, never all of them, so that "
            "the network learns to do without"
        ),
    ] = 0.0
