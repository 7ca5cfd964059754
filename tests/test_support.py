"""The strategies that other tests stand on are what they say they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from nibabel.orientations import aff2axcodes, io_orientation

from mriseg.core.volume import canonical
from tests import strategies


def test_there_are_48_orientations() -> None:
    codes = {orientation.codes for orientation in strategies.ORIENTATIONS}
    assert len(codes) == 48
    assert all("".join(aff2axcodes(o.affine())) == o.codes for o in strategies.ORIENTATIONS)


@given(strategies.oriented_affines())
def test_an_oblique_affine_keeps_its_orientation(
    drawn: tuple[strategies.Orientation, tuple[tuple[float, ...], ...]],
) -> None:
    orientation, affine = drawn
    axes = io_orientation(np.asarray(affine))
    assert tuple(axes[:, 0]) == orientation.world
    assert tuple(axes[:, 1]) == orientation.signs


@pytest.mark.parametrize("orientation", strategies.ORIENTATIONS, ids=lambda o: o.codes)
def test_a_geometry_leads_to_the_canonical_axes(orientation: strategies.Orientation) -> None:
    shape = (3, 4, 5)
    geometry = orientation.geometry(shape)
    index = np.indices(shape).reshape(3, -1)
    world = np.asarray(geometry.affine)[:3, :3] @ index
    right, anterior, superior = (canonical(axis.reshape(shape), geometry) for axis in world)
    assert (np.diff(superior, axis=0) > 0).all()
    assert (np.diff(anterior, axis=1) < 0).all()
    assert (np.diff(right, axis=2) < 0).all()
