"""What a protocol file may say, and what it is told when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from macrorail.config.protocol import Protocol, load_protocol
from macrorail.errors import ConfigError

PROTOCOL = """specimen: {id: NHM-1234.a_2}
range: {near: 10 mm, far: 13 mm}
settle: 0.4 s
exposure: {aperture: f/5.6, shutter: 1/60 s}
"""


def load(tmp_path: Path, text: str) -> Protocol:
    path = tmp_path / "protocol.yaml"
    path.write_text(text)
    return load_protocol(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    return str(error.value)


def with_range(text: str) -> str:
    return PROTOCOL.replace("{near: 10 mm, far: 13 mm}", text)


def test_a_short_protocol_is_enough(tmp_path):
    protocol = load(tmp_path, PROTOCOL)
    assert protocol.planned_overlap == 0.30
    assert protocol.minimum_overlap == 0.10
    assert protocol.optics.wavelength_um == 0.55
    assert protocol.exposure.shutter_s == pytest.approx(1 / 60)
    assert protocol.camera_settings == {"aperture": "f/5.6", "shutter": "1/60 s"}


def test_all_camera_settings_reach_the_camera_as_written(tmp_path):
    text = PROTOCOL.replace("1/60 s", "0.5 s, iso: 0100, white_balance: Flash, image_format: RAW")
    assert load(tmp_path, text).camera_settings == {
        "aperture": "f/5.6",
        "shutter": "0.5 s",
        "iso": "0100",
        "white_balance": "Flash",
        "image_format": "RAW",
    }


@pytest.mark.parametrize(
    ("written", "near_um", "far_um"),
    [
        ("{near: 10 mm, far: 13 mm}", 10_000, 13_000),
        ("{near: -2 mm, far: 0 mm}", -2000, 0),
        ("{around: 12 mm, span: 3 mm}", 10_500, 13_500),
        ("{around: 12 mm, above: 1 mm, below: 2 mm}", 11_000, 14_000),
        ("{around: 12 mm, above: 0 mm, below: 2 mm}", 12_000, 14_000),
        ("{positions: [1 mm, 1.1 mm, 1.3 mm]}", 1000, 1300),
        ("{positions: [5 mm]}", 5000, 5000),
    ],
)
def test_ranges_in_the_forms_people_know(tmp_path, written, near_um, far_um):
    span = load(tmp_path, with_range(written)).range
    assert (span.nearest_um, span.farthest_um) == (near_um, far_um)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{near: 10 mm}", "range: needs 'near' and 'far', 'around' with 'span' or with 'above'"),
        ("{near: 10 mm}", "got 'near'"),
        ("{near: 1 mm, far: 2 mm, span: 1 mm}", "got 'near', 'far', 'span'"),
        ("{around: 1 mm, above: 1 mm}", "got 'around', 'above'"),
        ("{near: 13 mm, far: 10 mm}", "2:27: range.far: the far end (10 mm) must be beyond"),
        ("{near: 13 mm, far: 13 mm}", "for one slice write 'positions: [POSITION]'"),
        ("{around: 1 mm, above: 0 mm, below: 0 mm}", "range.below: the far end (1 mm)"),
        ("{positions: []}", "range.positions: must list at least one position"),
        ("{positions: [2 mm, 1 mm]}", "must increase from near to far, but 1 mm follows 2 mm"),
        ("{positions: [1 mm, 1 mm]}", "must increase"),
        ("{positions: [1 mm, 2]}", "range.positions[2]: needs a unit"),
        ("{around: 1 mm, span: -1 mm}", "range.span: must be above 0, got '-1 mm'"),
        ("{nera: 1 mm, far: 2 mm}", "did you mean 'near'?"),
    ],
)
def test_other_ranges_are_refused(tmp_path, written, says):
    assert says in refusal(tmp_path, with_range(written))


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ("step: 40 um\noverlap: 30 %", "overlap: give either 'step' or 'overlap', not both"),
        ("step: 0 um", "step: must be above 0"),
        ("step: 40", "step: needs a unit: write '40' followed by"),
        ("overlap: 130 %", "overlap: must be from 0 % to 95 %, got 130 %"),
        ("overlap: -5 %", "must be from 0 % to 95 %"),
        ("overlap: 0.3", "write '0.3' followed by %"),
        ("overlap: 5 %", "5:10: overlap: the planned overlap (5 %) is less than minimum_overlap"),
        ("minimum_overlap: 40 %", "minimum_overlap: the planned overlap (30 %) is less than"),
        ("max_slices: 0", "max_slices: must be at least 1"),
        ("optics: {coc: 0 um}", "optics.coc: must be above 0"),
        ("closest_aproach: 1 mm", "did you mean 'closest_approach'?"),
    ],
)
def test_contradictions_and_slips_are_refused(tmp_path, added, says):
    assert says in refusal(tmp_path, PROTOCOL + added + "\n")


def test_a_list_of_positions_needs_no_spacing(tmp_path):
    text = with_range("{positions: [1 mm, 1.1 mm]}") + "step: 40 um\n"
    assert "step: 'range: positions' already lists the slices" in refusal(tmp_path, text)


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "-rf", "a b", "Käfer", "x" * 65])
def test_a_specimens_id_must_be_safe_in_paths(tmp_path, name):
    said = refusal(tmp_path, PROTOCOL.replace("NHM-1234.a_2", f"'{name}'"))
    assert "1:16: specimen.id: must be 1 to 64 letters" in said


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("f/5.6", "5.6", "exposure.aperture: must be an f-number written as 'f/5.6'"),
        ("1/60 s", "1/60", "exposure.shutter: needs a unit"),
        ("1/60 s", "0 s", "exposure.shutter: must be above 0 s"),
        ("settle: 0.4 s", "settle: -1 s", "settle: must be at least 0"),
        ("settle: 0.4 s\n", "", "settle: is missing"),
    ],
)
def test_exposure_and_settle_are_checked(tmp_path, old, new, says):
    assert says in refusal(tmp_path, PROTOCOL.replace(old, new))


def test_the_shipped_protocols_are_valid():
    shipped = sorted((Path(__file__).parents[2] / "configs" / "protocols").glob("*.yaml"))
    assert len(shipped) >= 2
    for path in shipped:
        load_protocol(path)
