"""Lens files: what they must say, and positions from steps and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrorail.config.lens_file import find_lens_file, lens_file_text, load_lens_file
from macrorail.config.rig import load_rig
from macrorail.devices.lens import LensAxis, split_into_drives
from macrorail.errors import ConfigError

LENS = """
name: Test 60 mm
slack: 6 steps
largest_drive: 500 steps
table:
  - {at: 0 steps, plane: 0 um, scale: 1}
  - {at: 100 steps, plane: 0.5 mm, scale: 0.99}
  - {at: 300 steps, plane: 2 mm, scale: 0.96}
"""

RIG = """
camera:
  driver: virtual
  port: bench
  image_width: 96
  image_height: 64
  pixel_pitch: 4.5 um
  frame_size: 8 kB
  download: 0.1 s
axis:
  driver: lens
  lens: LENS
  travel: {from: 0 mm, to: TO}
  speed: 5 mm/s
optics: {magnification: 0.5}
"""


def write(folder: Path, text: str = LENS) -> Path:
    path = folder / "lens.yaml"
    path.write_text(text)
    return path


def test_steps_planes_and_breathing_are_read_from_the_table(tmp_path: Path) -> None:
    lens = load_lens_file(write(tmp_path))
    assert (lens.travel_steps, lens.travel_um) == (300, 2000)
    assert lens.position_at(100) == 500
    assert lens.position_at(200) == 1250
    assert lens.steps_at(1250) == 200
    assert lens.scale_at(1250) == pytest.approx(0.975)
    assert lens.resolution_um == pytest.approx(7.5)


@given(steps=st.integers(0, 4000))
def test_a_step_is_found_again_by_its_plane(steps: int) -> None:
    lens = load_lens_file(find_lens_file("simulated-105mm"))
    assert lens.steps_at(lens.position_at(steps)) == pytest.approx(steps)


EOS = (1.0, 30 / 7, 208 / 7)


@given(way=st.floats(0, 5000), sizes=st.sampled_from([(1.0,), EOS, (1.0, 3.0)]))
def test_a_way_is_driven_in_few_drives_and_ends_with_the_smallest(
    way: float, sizes: tuple[float, ...]
) -> None:
    drives = split_into_drives(way, sizes)
    assert abs(sum(count * sizes[size - 1] for count, size in drives) - way) <= 0.5
    assert [size for _, size in drives] == sorted({size for _, size in drives}, reverse=True)
    assert all(count > 0 for count, _ in drives)
    assert not drives or drives[-1][1] == 1
    if sizes == EOS:
        assert sum(count for count, _ in drives) <= way / sizes[2] + 8 + 6


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("slack: 6 steps", "slack: 6 steps\nlarger_drives: [30 steps, 4 steps]", "must grow"),
        ("slack: 6 steps", "slack: 6 steps\nlarger_drives: [1 step]", "start above 1 step"),
        ("slack: 6 steps", "slack: 6 steps\nlarger_drives: [4.3]", "write '4.3' followed by steps"),
        ("slack: 6 steps", "slack: 6", "write '6' followed by steps"),
        ("slack: 6 steps", "slack: 6.5 steps", "whole number"),
        ("largest_drive: 500 steps", "largest_drive: 40000 steps", "32767"),
        ("at: 0 steps", "at: 5 steps", "near stop"),
        ("plane: 0.5 mm", "plane: 5 mm", "must grow"),
        ("at: 100 steps", "at: 300 steps", "must grow"),
        ("scale: 0.99", "scale: 0", "above 0"),
        ("plane: 2 mm", "plane: 2", "needs a unit"),
    ],
)
def test_a_wrong_lens_file_says_where_and_what(
    tmp_path: Path, written: str, instead: str, told: str
) -> None:
    assert written in LENS
    path = write(tmp_path, LENS.replace(written, instead))
    with pytest.raises(ConfigError, match=r"lens\.yaml:\d+:\d+") as wrong:
        load_lens_file(path)
    assert told in str(wrong.value)


def rig(folder: Path, lens: str, to: str = "2 mm") -> Path:
    path = folder / "rig.yaml"
    path.write_text(RIG.replace("LENS", lens).replace("TO", to))
    return path


def test_a_rig_names_its_lens_by_path_or_by_name(tmp_path: Path) -> None:
    for name, known_um in ((str(write(tmp_path)), 2000), ("simulated-105mm", 22400)):
        axis = load_rig(rig(tmp_path, name)).axis
        assert isinstance(axis, LensAxis.Options)
        assert axis.lens_file.travel_um == known_um
        assert axis.shares_camera


def test_the_magnification_follows_the_lens(tmp_path: Path) -> None:
    axis = load_rig(rig(tmp_path, str(write(tmp_path)))).axis
    assert axis.magnification_at(0, 0.5) == 0.5
    assert axis.magnification_at(2000, 0.5) == pytest.approx(0.48)


@pytest.mark.parametrize(
    ("lens", "to", "told"),
    [
        ("unheard-of", "2 mm", "macrorail ships: simulated-105mm"),
        ("./nowhere.yaml", "2 mm", "nowhere.yaml"),
        ("simulated-105mm", "30 mm", "0 um to 22.4 mm"),
    ],
)
def test_a_rig_with_a_lens_that_does_not_fit_is_refused(
    tmp_path: Path, lens: str, to: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=r"rig\.yaml:\d+:\d+") as wrong:
        load_rig(rig(tmp_path, lens, to))
    assert told in str(wrong.value)


def test_a_lens_file_that_is_written_reads_the_same(tmp_path: Path) -> None:
    lens = load_lens_file(write(tmp_path, LENS + "repeatability: 1.5 um\n"))
    again = tmp_path / "again.yaml"
    again.write_text(lens_file_text(lens, "How it was measured,\nin two lines."))
    assert load_lens_file(again) == lens
    assert lens.repeatability_um == 1.5
