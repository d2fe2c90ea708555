"""Focusing up to infinity: textbook values, and agreement with close-up formulas and pupils."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrorail.optics.dof import depth_of_field, effective_f_number
from macrorail.optics.image_space import FarFocus
from macrorail_sims.pupil import Lens

LENS = FarFocus(focal_length_um=50_000.0, nearest_um=500_000.0)
COC_UM, WAVELENGTH_UM = 30.0, 0.55
distances_um = st.floats(500_000.0, 1e12)
ratios = st.floats(0.4, 2.5)


@given(distance_um=distances_um)
def test_a_distance_comes_back_from_its_position(distance_um: float) -> None:
    position_um = LENS.position_um(distance_um)
    assert 0 <= position_um <= LENS.infinity_um
    assert 1 / LENS.distance_um(position_um) == pytest.approx(1 / distance_um, abs=1e-14)


def test_infinity_is_a_place_and_past_it_is_infinity() -> None:
    assert LENS.position_um(math.inf) == LENS.infinity_um == pytest.approx(5_000)
    assert LENS.distance_um(LENS.infinity_um) == math.inf
    assert LENS.distance_um(LENS.infinity_um + 50) == math.inf
    assert LENS.magnification(LENS.infinity_um, 1.0) == 0


@given(f_number=st.sampled_from([1.8, 2.8, 4.0, 5.6]), coc_um=st.floats(20, 40))
def test_the_hyperfocal_distance_is_the_textbooks(f_number: float, coc_um: float) -> None:
    """``f**2 / (N c)`` from the entrance pupil, and then all is sharp from half of it."""
    hyperfocal_um = LENS.focal_length_um**2 / (f_number * coc_um)
    at_um = LENS.position_um(hyperfocal_um)
    # Geometry alone: the disc of a symmetrical lens focused far away.
    dof = LENS.depth_of_field(at_um, f_number, 1.0, coc_um, WAVELENGTH_UM)
    assert LENS.distance_um(at_um + dof.geometric_um / 2) > 20 * hyperfocal_um
    near_um = LENS.distance_um(at_um - dof.geometric_um / 2)
    assert near_um == pytest.approx(hyperfocal_um / 2, rel=0.01)


@given(distance_um=distances_um, ratio=ratios, f_number=st.floats(1.4, 22))
def test_it_is_the_close_up_formula_seen_from_the_image(
    distance_um: float, ratio: float, f_number: float
) -> None:
    position_um = LENS.position_um(distance_um)
    m = LENS.magnification(position_um, ratio)
    here = LENS.depth_of_field(position_um, f_number, ratio, COC_UM, WAVELENGTH_UM)
    effective = effective_f_number(f_number, m, ratio)
    there = depth_of_field(effective, m, COC_UM, WAVELENGTH_UM)
    imaged = (m / (1 + m / ratio)) ** 2
    assert here.effective_f_number == pytest.approx(effective)
    assert here.geometric_um == pytest.approx(there.geometric_um * imaged, rel=1e-6)
    assert here.wave_um == pytest.approx(there.wave_um * imaged, rel=1e-6)


@given(distance_um=st.floats(600_000, 1e8), ratio=ratios, f_number=st.floats(1.4, 22))
def test_at_its_edges_the_pupils_blur_just_fills_the_circle_of_confusion(
    distance_um: float, ratio: float, f_number: float
) -> None:
    at_um = LENS.position_um(distance_um)
    dof_um = LENS.depth_of_field(at_um, f_number, ratio, COC_UM, WAVELENGTH_UM).geometric_um
    m = LENS.magnification(at_um, ratio)
    lens = Lens(LENS.focal_length_um, m, ratio, f_number)
    assert lens.working_distance_um == pytest.approx(distance_um)
    for edge_um in (at_um - dof_um / 2, at_um + dof_um / 2):
        edge_distance_um = min(LENS.distance_um(edge_um), 1e15)
        # Beyond infinity there is nothing to be blurred.
        if edge_distance_um < 1e15:
            assert lens.blur_disc_um(edge_distance_um) == pytest.approx(COC_UM, rel=1e-3)
