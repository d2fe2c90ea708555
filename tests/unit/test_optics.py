"""The formulas against published figures, and the laws they must obey."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrorail.optics.dof import (
    depth_of_field,
    effective_f_number,
    effective_f_number_of_na,
    geometric_dof_um,
    numerical_aperture,
    object_pixel_um,
    wave_dof_um,
)

_LINES = (Path(__file__).parents[1] / "data" / "optics-oracle.csv").read_text().splitlines()
ORACLE = list(csv.DictReader(line for line in _LINES if not line.startswith("#")))


def computed(row: dict[str, str]) -> float:
    """What our formulas say about a row, in the row's unit."""
    m, f_number, na, coc_um = (
        float(row[name]) if row[name] else math.nan for name in ("m", "f_number", "NA", "coc_um")
    )
    effective = effective_f_number(f_number, m)
    if row["model"] == "E":
        return effective
    if row["model"] == "G":
        figure_um = geometric_dof_um(effective, m, coc_um)
    else:
        figure_um = wave_dof_um(na if row["NA"] else numerical_aperture(effective, m))
    return figure_um / {"mm": 1e3, "um": 1}[row["unit"]]


def test_the_oracle_is_all_there():
    assert len(ORACLE) == 30
    assert {row["model"] for row in ORACLE} == {"E", "G", "W"}


@pytest.mark.parametrize("row", ORACLE, ids=lambda row: "-".join(list(row.values())[:4]))
def test_published_figures_to_their_last_digit(row):
    decimals = len(row["printed"].partition(".")[2])
    assert abs(computed(row) - float(row["printed"])) <= 10**-decimals * (1 + 1e-9)


sizes = st.floats(min_value=0.05, max_value=50)
f_numbers = st.floats(min_value=0.7, max_value=64)


@given(m=sizes, f_number=f_numbers, coc_um=st.floats(min_value=0.5, max_value=50))
def test_the_limiting_depth_is_the_smaller_one(m, f_number, coc_um):
    depth = depth_of_field(effective_f_number(f_number, m), m, coc_um)
    assert depth.limiting_um == min(depth.geometric_um, depth.wave_um)
    assert (
        depth.limiting_um
        == {"geometric": depth.geometric_um, "wave": depth.wave_um}[depth.criterion]
    )


@given(m=sizes, na=st.floats(min_value=0.01, max_value=0.95))
def test_aperture_and_effective_f_number_are_each_others_inverse(m, na):
    assert numerical_aperture(effective_f_number_of_na(na, m), m) == pytest.approx(na)


def test_a_pupil_ratio_above_one_opens_the_effective_aperture():
    # P is exit over entrance: a retrofocus lens (P > 1) loses less light close up.
    assert effective_f_number(4, 2, pupil_ratio=2) == 8
    assert effective_f_number(4, 2, pupil_ratio=0.5) == 20
    # Reversed, the same lens has the inverse ratio.
    assert effective_f_number(4, 2, pupil_ratio=1) == 12


def test_the_step_that_left_visible_bands_would_not_be_allowed():
    # photomacrography.net t=45668: 200 um steps at m = 2.5, f/4 where the wave depth is 69 um.
    depth = depth_of_field(effective_f_number(4, 2.5), 2.5, coc_um=45)
    assert depth.geometric_um > 200 > depth.limiting_um
    assert depth.criterion == "wave"


def test_a_pixel_on_the_specimen():
    assert object_pixel_um(4.5, 2) == 2.25
