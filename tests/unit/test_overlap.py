"""Coverage is proven exactly when the bands leave no hole, and proposals close every hole."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from macrorail.errors import OverlapError
from macrorail.optics.overlap import Band, missing_positions, prove_coverage

positions = st.floats(min_value=-50, max_value=1050)
depths = st.floats(min_value=1, max_value=200)
overlaps = st.floats(min_value=0, max_value=0.9)
bands_anywhere = st.lists(st.builds(Band, positions, depths), max_size=30)
NEAR, FAR = 0.0, 1000.0


def is_covered(bands: list[Band], at_um: float) -> bool:
    """Whether some band reaches a plane; the independent judge of these tests."""
    return any(abs(at_um - band.position_um) <= band.dof_um / 2 + 1e-5 for band in bands)


def edges(bands: list[Band]) -> list[float]:
    """The planes at which coverage can change, and those just beside and between them."""
    found = sorted(
        {NEAR, FAR}
        | {edge for band in bands for edge in (band.from_um, band.to_um) if NEAR <= edge <= FAR}
    )
    return found + [(a + b) / 2 for a, b in itertools.pairwise(found)]


@given(bands=bands_anywhere)
def test_without_a_minimum_proven_means_that_every_plane_is_covered(bands):
    coverage = prove_coverage(bands, NEAR, FAR, minimum_overlap=0)
    everywhere = all(is_covered(bands, at_um) for at_um in edges(bands))
    if coverage.proven:
        assert everywhere
    # Holes of less than the rounding allowance count as none.
    if everywhere and not coverage.proven:
        assert all(gap.far.from_um - gap.near.to_um < 1e-4 for gap in coverage.gaps), coverage.gaps


@given(
    distances=st.lists(st.floats(min_value=1, max_value=60), min_size=1, max_size=20),
    dof_um=st.floats(min_value=10, max_value=60),
    minimum=overlaps,
)
def test_equal_depths_are_proven_exactly_when_every_neighbour_overlaps_enough(
    distances, dof_um, minimum
):
    at = list(itertools.accumulate(distances, initial=0.0))
    limit_um = dof_um * (1 - minimum)
    assume(all(abs(distance - limit_um) > 1e-3 for distance in distances))
    coverage = prove_coverage([Band(p, dof_um) for p in at], 0.0, at[-1], minimum)
    # A gap wholly within the end bands' own reach is none: the end band covers it alone.
    inner = [
        a
        for a, b in itertools.pairwise(at)
        if b - a > limit_um and b - dof_um / 2 > 0 and a + dof_um / 2 < at[-1]
    ]
    assert [gap.near.position_um for gap in coverage.gaps] == pytest.approx(inner)
    assert coverage.proven == (not inner)


@given(bands=bands_anywhere, minimum=overlaps, data=st.data())
def test_the_order_of_shooting_does_not_matter(bands, minimum, data):
    shuffled = data.draw(st.permutations(bands))
    assert prove_coverage(shuffled, NEAR, FAR, minimum) == prove_coverage(bands, NEAR, FAR, minimum)


@given(bands=bands_anywhere, minimum=overlaps, extra=st.builds(Band, positions, depths))
def test_another_slice_never_breaks_a_proof(bands, minimum, extra):
    if prove_coverage(bands, NEAR, FAR, minimum).proven:
        assert prove_coverage([*bands, extra], NEAR, FAR, minimum).proven


@given(
    at=st.lists(positions, min_size=1, max_size=12),
    dof_um=st.floats(min_value=8, max_value=200),
    minimum=st.floats(min_value=0, max_value=0.8),
)
def test_shooting_the_proposed_slices_proves_the_coverage(at, dof_um, minimum):
    bands = [Band(position_um, dof_um) for position_um in at]
    coverage = prove_coverage(bands, NEAR, FAR, minimum)
    missing = missing_positions(coverage)
    assert (missing == []) == coverage.proven
    assert missing == sorted(missing)
    assert all(NEAR <= position_um <= FAR for position_um in missing)
    bands += [Band(position_um, dof_um) for position_um in missing]
    again = prove_coverage(bands, NEAR, FAR, minimum)
    if not any(NEAR - dof_um / 2 <= position_um <= FAR + dof_um / 2 for position_um in at):
        # Without a slice in the range its depth of field is unknown: the ends come first.
        bands += [Band(position_um, dof_um) for position_um in missing_positions(again)]
        again = prove_coverage(bands, NEAR, FAR, minimum)
    assert again.proven, again.gaps


@given(
    at=st.lists(positions, min_size=1, max_size=8),
    slope=st.floats(min_value=-0.05, max_value=0.05),
    minimum=st.floats(min_value=0, max_value=0.5),
)
def test_a_changing_depth_of_field_is_covered_within_a_few_rounds(at, slope, minimum):
    def band(position_um: float) -> Band:
        return Band(position_um, 80 + slope * position_um)

    bands = [band(position_um) for position_um in at]
    for _ in range(4):
        missing = missing_positions(prove_coverage(bands, NEAR, FAR, minimum))
        bands += [band(position_um) for position_um in missing]
    assert prove_coverage(bands, NEAR, FAR, minimum).proven


def test_a_short_move_leaves_a_gap_with_its_numbers():
    coverage = prove_coverage([Band(p, 20) for p in (0, 14, 46, 60)], 0, 60, minimum_overlap=0.1)
    (gap,) = coverage.gaps
    assert (gap.near.position_um, gap.far.position_um) == (14, 46)
    assert gap.overlap == pytest.approx(1 - 32 / 20)
    assert missing_positions(coverage) == [30]
    assert coverage.overlaps == pytest.approx((None, 0.3, -0.6, 0.3))
    error = coverage.error()
    assert isinstance(error, OverlapError)
    assert (error.gap_um, error.dof_um, error.exit_code) == (32, 20, 4)
    assert "14 µm and 46 µm are 32 µm apart, but the depth of field is 20 µm" in str(error)


def test_too_little_overlap_is_a_gap_even_where_bands_touch():
    bands = [Band(0, 20), Band(19, 20)]
    assert prove_coverage(bands, -5, 24, minimum_overlap=0.05).proven
    assert not prove_coverage(bands, -5, 24, minimum_overlap=0.06).proven


def test_exactly_the_planned_distance_is_enough():
    step_um = 0.1 * 3  # 0.30000000000000004
    bands = [Band(index * step_um, 0.3 / 0.7) for index in range(1000)]
    assert prove_coverage(bands, 0, 999 * step_um, minimum_overlap=0.3).proven


def test_ends_count():
    bands = [Band(p, 20) for p in (12, 24, 36)]
    coverage = prove_coverage(bands, 0, 60, minimum_overlap=0.1)
    assert not coverage.near_covered
    assert not coverage.far_covered
    assert coverage.gaps == ()
    assert missing_positions(coverage) == pytest.approx([0, 48, 60])
    assert "the near end at 0 µm is not covered" in str(coverage.error())
    assert "2 µm short" in str(coverage.error())


def test_a_slice_at_the_end_covers_it_whatever_lies_beyond():
    # The axis overshot once, below the range: that is no reason for another slice.
    assert prove_coverage([Band(-19.5, 20), Band(0, 20), Band(9, 20)], 0, 9, 0.3).proven


def test_a_deep_slice_covers_for_the_thin_ones_within_it():
    assert prove_coverage([Band(500, 1500), Band(100, 10), Band(900, 10)], 0, 1000, 0.3).proven


def test_slices_out_of_the_range_neither_prove_nor_spoil_anything():
    coverage = prove_coverage([Band(-500, 20), Band(20, 20), Band(900, 20)], 0, 25, 0.1)
    assert coverage.gaps == ()
    assert (coverage.near_covered, coverage.far_covered) == (False, True)


def test_proposals_stay_in_the_range_even_when_a_slice_overshot_it():
    bands = [Band(-20, 42), Band(60, 10)]
    missing = missing_positions(prove_coverage(bands, 0, 60, 0.1))
    assert missing[0] == 0
    assert prove_coverage([*bands, *(Band(p, 10) for p in missing)], 0, 60, 0.1).proven


def test_no_slice_proves_nothing():
    coverage = prove_coverage([], 0, 60, 0.1)
    assert not coverage.proven
    assert missing_positions(coverage) == [0, 60]
    assert "no slice was taken" in str(coverage.error())


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match="is beyond far end"):
        prove_coverage([], 10, 0, 0.1)
    with pytest.raises(ValueError, match="minimum_overlap"):
        prove_coverage([], 0, 10, 1.0)


def test_the_manifest_gets_plain_numbers():
    told = prove_coverage([Band(0, 20), Band(50, 20)], 0, 50, 0.1).to_dict()
    assert told["proven"] is False
    assert told["near_covered"] is told["far_covered"] is True
    assert told["gaps"] == [
        {"near_um": 0, "far_um": 50, "distance_um": 50, "dof_um": 20, "overlap": -1.5}
    ]
    assert told["overlaps"][0] == {"position_um": 0, "overlap": None}
