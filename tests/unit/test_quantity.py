"""Quantities as people write them, and what they are told when the unit is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrorail.quantity import (
    format_duration,
    format_fraction,
    format_length,
    format_size,
    parse_acceleration,
    parse_duration,
    parse_f_number,
    parse_fraction,
    parse_length,
    parse_size,
    parse_speed,
)


@pytest.mark.parametrize(
    ("parse", "written", "expected"),
    [
        (parse_length, "40 um", 40),
        (parse_length, "40um", 40),
        (parse_length, "40 µm", 40),
        (parse_length, "40 μm", 40),
        (parse_length, "550 nm", 0.55),
        (parse_length, "1.2 mm", 1200),
        (parse_length, "-0.5 cm", -5000),
        (parse_length, ".5 m", 500_000),
        (parse_length, "1/4 in", 6350),
        (parse_length, "1e3 um", 1000),
        (parse_length, 12.5, 12.5),
        (parse_duration, "1/60 s", 1 / 60),
        (parse_duration, "250 ms", 0.25),
        (parse_duration, "40 us", 4e-5),
        (parse_duration, "2 min", 120),
        (parse_duration, "1.5 h", 5400),
        (parse_fraction, "30 %", 0.3),
        (parse_fraction, "30%", 0.3),
        (parse_speed, "2 mm/s", 2000),
        (parse_acceleration, "20 mm/s2", 20_000),
        (parse_acceleration, "20 mm/s²", 20_000),
        (parse_acceleration, "20 mm/s^2", 20_000),
        (parse_size, "12 MB", 12e6),
        (parse_f_number, "f/5.6", 5.6),
        (parse_f_number, "F8", 8),
    ],
)
def test_reads_what_is_written(parse, written, expected):
    assert parse(written) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("parse", "written", "says"),
    [
        (parse_length, "40", "needs a unit: write '40' followed by nm, um, mm, cm, m or in"),
        (parse_length, "1e3", "needs a unit"),
        (parse_length, "40 MM", "did you mean 'mm'"),
        (parse_length, "40 inch", "unknown unit 'inch'"),
        (parse_length, "0,5 mm", "write the decimal point as '0.5 mm'"),
        (parse_length, "wide", "such as '40 um', got 'wide'"),
        (parse_length, "", "such as '40 um'"),
        (parse_length, "nan um", "such as '40 um'"),
        (parse_length, "1/0 mm", "divides by zero"),
        (parse_length, "1e400 mm", "not a finite number"),
        (parse_length, float("nan"), "not a finite number"),
        (parse_length, True, "must be a length"),
        (parse_length, ["1 mm"], "must be a length"),
        (parse_length, "1 mm 2", "unknown unit"),
        (parse_duration, "1:30", "write one number and its unit"),
        (parse_duration, "5 um", "a duration is in us, ms, s, min, h"),
        (parse_fraction, "0.3", "needs a unit: write '0.3' followed by %"),
        (parse_f_number, "5.6", "written as 'f/5.6'"),
        (parse_f_number, "f/0", "above 0"),
    ],
)
def test_refuses_with_a_hint(parse, written, says):
    with pytest.raises(ValueError) as refusal:
        parse(written)
    assert says in str(refusal.value)


@given(st.floats(min_value=-1e9, max_value=1e9, allow_nan=False))
def test_a_length_for_people_reads_back_as_the_same_length(length_um):
    shown = format_length(length_um, digits=12)
    assert parse_length(shown) == pytest.approx(length_um, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize(
    ("length_um", "shown"),
    [
        (0, "0 µm"),
        (0.55, "550 nm"),
        (40, "40 µm"),
        (999.99, "1 mm"),
        (1234.5, "1.234 mm"),
        (-1.5, "-1.5 µm"),
        (2e6, "2 m"),
    ],
)
def test_lengths_for_people(length_um, shown):
    assert format_length(length_um) == shown


def test_other_quantities_for_people():
    assert format_duration(0.35) == "350 ms"
    assert format_duration(12.5) == "12.5 s"
    assert format_duration(59.99) == "1 min 00 s"
    assert format_duration(200) == "3 min 20 s"
    assert format_duration(7500) == "2 h 05 min"
    assert format_size(900) == "900 B"
    assert format_size(3.2e6) == "3.2 MB"
    assert format_fraction(0.3) == "30 %"
