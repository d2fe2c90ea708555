"""Plans: never a gap, both ends covered, no slice twice, and refusals with their numbers."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from macrorail.config.protocol import Protocol
from macrorail.config.rig import AxisSection, CameraSection, OpticsSection, Rig
from macrorail.errors import OverlapError, PlanError
from macrorail.optics.overlap import Band, prove_coverage
from macrorail.planning.plan import make_plan, move_s
from macrorail_sims.pupil import Lens


class BreathingAxis(AxisSection):
    """A lens whose magnification falls as it focuses farther away."""

    per_um: float = 1e-5

    def magnification_at(self, position_um, magnification):
        return magnification / (1 + position_um * self.per_um)


class LensAxis(BreathingAxis):
    shares_camera = True


def rig(axis=AxisSection, optics=None, axis_keys=None) -> Rig:
    return Rig(
        camera=CameraSection(
            driver="x:Y",
            port="usb",
            image_width=1200,
            image_height=800,
            pixel_pitch="4.5 um",
            frame_size="600 kB",
            download="0.5 s",
        ),
        axis=axis(
            **{
                "driver": "x:Y",
                "travel": {"from": "0 mm", "to": "60 mm"},
                "closest_approach": "50 mm",
                "speed": "2 mm/s",
                **(axis_keys or {}),
            }
        ),
        optics=OpticsSection(**(optics or {"magnification": 2})),
    )


def protocol(**keys) -> Protocol:
    return Protocol.model_validate(
        {
            "specimen": {"id": "x"},
            "range": {"near": "10 mm", "far": "13 mm"},
            "settle": "0.4 s",
            "exposure": {"aperture": "f/5.6", "shutter": "1/10 s"},
            **keys,
        }
    )


def targets(plan) -> list[float]:
    return [planned.target_um for planned in plan.slices]


def test_a_plan_from_an_overlap():
    plan = make_plan(protocol(overlap="25 %"), rig())
    # N = 5.6, m = 2, c = two pixels: 2 * 5.6 * 9 * 3 / 4
    assert plan.slices[0].dof_um == pytest.approx(75.6)
    assert plan.slices[0].criterion == "geometric"
    assert plan.slices[0].effective_f_number == pytest.approx(16.8)
    assert plan.object_pixel_um == 2.25
    at = targets(plan)
    assert (at[0], at[-1]) == (10_000, 13_000)
    assert at[1] - at[0] == pytest.approx(75.6 * 0.75)
    assert plan.slices[0].overlap is None
    assert plan.slices[1].overlap == pytest.approx(0.25)
    assert plan.dof_um_at(11_000) == pytest.approx(75.6)
    assert [planned.index for planned in plan.slices] == list(range(1, len(at) + 1))


def test_a_step_is_kept_and_only_the_last_is_shorter():
    at = targets(make_plan(protocol(step="50 um", range={"near": "0 mm", "far": "220 um"}), rig()))
    assert at == pytest.approx([0, 50, 100, 150, 200, 220])


def test_shots_are_one_more_than_steps():
    at = targets(make_plan(protocol(step="50 um", range={"near": "0 mm", "far": "1 mm"}), rig()))
    assert len(at) == 21


def test_the_budget_counts_slices():
    keys = {"step": "50 um", "range": {"near": "0 mm", "far": "1 mm"}}
    assert len(make_plan(protocol(max_slices=21, **keys), rig()).slices) == 21
    with pytest.raises(PlanError, match="more than 20 slices"):
        make_plan(protocol(max_slices=20, **keys), rig())


def test_a_list_of_positions_is_shot_as_it_stands():
    span = {"positions": ["1 mm", "1.05 mm", "1.06 mm"]}
    assert targets(make_plan(protocol(range=span), rig())) == [1000, 1050, 1060]
    assert targets(make_plan(protocol(range={"positions": ["5 mm"]}), rig())) == [5000]


spans = st.tuples(
    st.floats(min_value=0, max_value=20_000), st.floats(min_value=0.5, max_value=5_000)
)


@given(span=spans, step_um=st.floats(min_value=5, max_value=68))
def test_no_step_exceeds_the_wanted_one_and_the_ends_are_met(span, step_um):
    near_um, length_um = span
    far_um = near_um + length_um
    asked = protocol(step=step_um, range={"near": near_um, "far": far_um}, max_slices=2000)
    at = targets(make_plan(asked, rig()))
    assert (at[0], at[-1]) == (near_um, far_um)
    distances = [b - a for a, b in pairwise(at)]
    assert max(distances) <= step_um * (1 + 1e-6)
    assert min(distances) > step_um * 1e-10
    # As few as possible: one more than the whole steps that the range needs.
    assert len(at) - 1 in {math.ceil(length_um / step_um), math.floor(length_um / step_um)}


@given(
    count=st.integers(min_value=1, max_value=300),
    step_nm=st.integers(min_value=1_000, max_value=60_000),
    near_um=st.integers(min_value=0, max_value=20_000),
)
def test_a_range_of_whole_steps_has_no_slice_too_few_or_too_many(count, step_nm, near_um):
    step_um = step_nm / 1000
    asked = protocol(step=step_um, range={"near": near_um, "far": near_um + count * step_um})
    at = targets(make_plan(asked, rig()))
    assert len(at) == count + 1
    assert at == pytest.approx([near_um + k * step_um for k in range(count + 1)])


@given(
    span=spans,
    overlap=st.floats(min_value=0.1, max_value=0.8),
    per_um=st.floats(min_value=-1e-5, max_value=1e-4),
    f_number=st.floats(min_value=4, max_value=16),
)
def test_along_a_lens_sweep_every_neighbour_overlaps_as_planned(span, overlap, per_um, f_number):
    near_um, length_um = span
    asked = protocol(
        overlap=overlap,
        range={"near": near_um, "far": near_um + length_um},
        exposure={"aperture": f_number, "shutter": "1 s"},
        max_slices=100_000,
    )
    plan = make_plan(asked, rig(BreathingAxis, axis_keys={"per_um": per_um}))
    assert targets(plan)[0] == near_um
    assert targets(plan)[-1] == near_um + length_um
    planned = [planned.overlap for planned in plan.slices[1:]]
    assert all(share >= overlap - 1e-6 for share in planned)
    # Not wasteful either: only the last distance is shorter than it could be.
    assert all(share < overlap + 0.05 for share in planned[:-1])
    bands = [Band(p.target_um, p.dof_um) for p in plan.slices]
    assert prove_coverage(bands, plan.near_um, plan.far_um, plan.minimum_overlap).proven


def test_the_depth_of_field_changes_along_a_lens_sweep():
    plan = make_plan(protocol(), rig(BreathingAxis, axis_keys={"per_um": 1e-4}))
    first, last = plan.slices[0], plan.slices[-1]
    assert first.magnification > last.magnification
    assert first.dof_um < last.dof_um
    assert first.um_per_px < last.um_per_px
    steps = [b - a for a, b in pairwise(targets(plan))][:-1]
    assert steps == sorted(steps)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"range": {"near": "-1 mm", "far": "1 mm"}}, "starts at 0 µm"),
        ({"range": {"near": "-1 mm", "far": "1 mm"}}, "positions of the range by 1 mm"),
        ({"range": {"near": "49 mm", "far": "50.2 mm"}}, "200 µm beyond closest_approach at 50 mm"),
        ({"closest_approach": "12 mm"}, "1 mm beyond closest_approach at 12 mm"),
        ({"step": "1 um"}, "more than 1000 slices"),
        ({"step": "1e-9 um"}, "more than 1000 slices"),
        ({"step": "1e-320 um"}, "more than 1000 slices"),
        ({"overlap": "95 %", "max_slices": 10}, "more than 10 slices"),
        ({"exposure": {"shutter": "1 s"}}, "exposure.aperture: is missing"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_numbers(keys, says):
    with pytest.raises(PlanError) as refusal:
        make_plan(protocol(**keys), rig())
    assert says in str(refusal.value)


def test_a_protocol_can_only_tighten_the_closest_approach():
    loose = protocol(closest_approach="59 mm", range={"near": "49 mm", "far": "51 mm"})
    with pytest.raises(PlanError, match="beyond closest_approach at 50 mm"):
        make_plan(loose, rig())
    assert make_plan(protocol(closest_approach="59 mm"), rig()).closest_approach_um == 50_000


def test_the_travel_ends_even_where_the_closest_approach_is_farther():
    assert rig(axis_keys={"travel": {"from": "0 mm", "to": "30 mm"}}).axis.allowed_um == (0, 30_000)


def test_a_step_beyond_the_depth_of_field_is_refused_with_the_largest_allowed():
    with pytest.raises(OverlapError) as refusal:
        make_plan(protocol(step="100 um"), rig())
    assert refusal.value.exit_code == 4
    assert refusal.value.gap_um == pytest.approx(100)
    assert refusal.value.dof_um == pytest.approx(75.6)
    assert "The largest allowed step is 68.04 µm" in str(refusal.value)
    make_plan(protocol(step="68.04 um"), rig())
    with pytest.raises(OverlapError):
        make_plan(protocol(step="68.05 um"), rig())


def test_listed_positions_must_overlap_too():
    span = {"positions": ["1 mm", "1.05 mm", "1.2 mm"]}
    with pytest.raises(OverlapError, match="slices 2 and 3 would be 150 µm apart"):
        make_plan(protocol(range=span), rig())


def test_the_step_that_left_visible_bands_is_refused():
    # photomacrography.net t=45668: m = 2.5, f/4; the wave depth is 69 um.
    asked = protocol(
        step="200 um", optics={"coc": "45 um"}, exposure={"aperture": "f/4", "shutter": "1 s"}
    )
    with pytest.raises(OverlapError, match=r"depth of field is 68\.99 µm \(wave criterion\)"):
        make_plan(asked, rig(optics={"magnification": 2.5}))


def test_an_objective_has_an_aperture_of_its_own():
    objective = rig(optics={"magnification": 10, "na": 0.28})
    with pytest.raises(PlanError, match=r"na: 0\.28.*remove the aperture"):
        make_plan(protocol(), objective)
    asked = protocol(range={"near": "1 mm", "far": "1.05 mm"}, exposure={"shutter": "1 s"})
    plan = make_plan(asked, objective)
    assert plan.slices[0].effective_f_number == pytest.approx(10 / 0.56)
    assert plan.slices[0].dof_um == pytest.approx(9 / (10 * 0.28))


def test_a_body_that_shows_the_effective_f_number_is_believed():
    optics = {"magnification": 2, "f_number_is": "effective"}
    plan = make_plan(protocol(), rig(optics=optics))
    assert plan.slices[0].effective_f_number == 5.6
    assert plan.slices[0].dof_um == pytest.approx(4 * 0.55 * 5.6**2 / 4)


def test_moves_take_their_time():
    plain = rig().axis
    assert move_s(1000, plain) == 0.5
    ramped = rig(axis_keys={"acceleration": "4 mm/s2"}).axis
    assert move_s(-100_000, ramped) == pytest.approx(50.5)
    assert move_s(100, ramped) == pytest.approx(2 * math.sqrt(100 / 4000))


def test_the_time_counts_a_rails_download_while_it_moves_and_a_lenss_after_it():
    span = {"positions": ["0 um", "40 um", "80 um"]}
    moving_s, settle_s, shutter_s, download_s = 0.02, 0.4, 0.1, 0.5
    on_rail = make_plan(protocol(range=span), rig()).duration_s
    assert on_rail == pytest.approx(settle_s + 3 * shutter_s + 3 * download_s)
    by_lens = make_plan(protocol(range=span), rig(LensAxis)).duration_s
    assert by_lens == pytest.approx(3 * (settle_s + shutter_s + download_s) + 2 * moving_s)


def test_a_plan_can_be_written_as_json():
    plan = make_plan(protocol(), rig())
    told = json.loads(json.dumps(plan.to_dict()))
    assert told["slices"][0] == {
        "index": 1,
        "target_um": 10_000,
        "overlap": None,
        "dof_um": pytest.approx(75.6),
        "criterion": "geometric",
        "magnification": 2,
        "effective_f_number": pytest.approx(16.8),
        "um_per_px": 2.25,
    }
    assert told["coc_um"] == 9
    assert told["size_bytes"] == plan.size_bytes
    assert plan.size_bytes > len(plan.slices) * 600_000


DEEP = {"near": "1 mm", "far": "1.1 mm"}


def test_an_objective_on_another_tube_lens_magnifies_less_and_keeps_its_aperture():
    asked = protocol(exposure={"shutter": "1/10 s"}, optics={"coc": "30 um"}, range=DEEP)
    whole = {"magnification": 10, "na": 0.28}
    halved = make_plan(
        asked, rig(optics={**whole, "tube_lens": "100 mm", "made_for": "200 mm"})
    ).slices[0]
    engraved = make_plan(asked, rig(optics=whole)).slices[0]
    assert (engraved.magnification, halved.magnification) == (10, 5)
    assert halved.effective_f_number == pytest.approx(engraved.effective_f_number / 2)
    # Diffraction limits both, and knows of the aperture alone: 0.55 um / 0.28**2.
    assert engraved.dof_um == pytest.approx(7.015, abs=0.001)
    assert halved.criterion == engraved.criterion == "wave"


def test_immersion_deepens_the_field_and_allows_more_aperture():
    asked = protocol(exposure={"shutter": "1/10 s"}, optics={"coc": "30 um"}, range=DEEP)
    water = rig(optics={"magnification": 10, "na": 0.3, "immersion": 1.33})
    assert make_plan(asked, water).slices[0].dof_um == pytest.approx(0.55 * 1.33 / 0.09)
    with pytest.raises(ValidationError, match="not below the refractive index"):
        OpticsSection(magnification=40, na=1.1)
    assert OpticsSection(magnification=40, na=1.1, immersion=1.33).magnification == 40
    with pytest.raises(ValidationError, match="belong together"):
        OpticsSection(magnification=10, na=0.28, tube_lens="100 mm")
    with pytest.raises(ValidationError, match="microscope objective"):
        OpticsSection(magnification=10, immersion=1.5)


@pytest.mark.parametrize("kind", ["rail", "lens"])
def test_the_scale_of_each_frame_is_foretold(kind):
    focal_um, first_um, last_um = 65_000.0, 10_000.0, 13_000.0
    axis = BreathingAxis if kind == "lens" else AxisSection
    plan = make_plan(protocol(), rig(axis, optics={"magnification": 2, "focal_length": "65 mm"}))
    # The simulator's own lens, which knows nothing of plans: the same point of the specimen, in
    # focus in the last frame, as both frames show it.
    m_first, m_last = (plan.slices[index].magnification for index in (0, -1))
    before, behind = (Lens(focal_um, m, 1.0, 5.6) for m in (m_first, m_last))
    seen_first = before.scale(before.working_distance_um + last_um - first_um)
    seen_last = behind.scale(behind.working_distance_um)
    assert plan.slices[0].scale == 1
    assert plan.slices[-1].scale == pytest.approx(seen_first / seen_last)
    assert plan.to_dict()["slices"][-1]["scale"] == plan.slices[-1].scale
    assert "scale" not in make_plan(protocol(), rig(axis)).to_dict()["slices"][-1]
