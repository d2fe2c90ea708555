"""``macrorail plan`` and ``macrorail dof`` as a user meets them: output, JSON, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest

from macrorail.cli import main
from macrorail.cli.rigs import default_rig_path

DRIVERS = """
from macrorail.config.rig import AxisSection, CameraSection

class Camera:
    class Options(CameraSection):
        pass

class Rail:
    class Options(AxisSection):
        pass
"""

RIG = """camera:
  driver: planning_drivers:Camera
  port: usb
  image_width: 6000
  image_height: 4000
  pixel_pitch: 4.5 um
  frame_size: 12 MB
  download: 0.5 s
axis:
  driver: planning_drivers:Rail
  travel: {from: 0 mm, to: 60 mm}
  speed: 2 mm/s
optics:
  magnification: 2
"""

PROTOCOL = """specimen: {id: beetle}
range: {near: 10 mm, far: 10.5 mm}
settle: 0.4 s
exposure: {aperture: f/5.6, shutter: 1/60 s}
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    (tmp_path / "planning_drivers.py").write_text(DRIVERS)
    (tmp_path / "rig.yaml").write_text(RIG)
    (tmp_path / "protocol.yaml").write_text(PROTOCOL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def plan(files, *options: str) -> int:
    return main(["plan", f"{files}/protocol.yaml", "--rig", f"{files}/rig.yaml", *options])


def test_a_plan_shows_slices_bands_limit_time_and_disk(files, capsys):
    assert plan(files) == 0
    shown, told = capsys.readouterr()
    assert told == ""
    rows = [line.split() for line in shown.splitlines() if re.match(r"\s*\d+ +\d+\.\d{4} ", line)]
    assert [row[0] for row in rows] == [str(index) for index in range(1, 12)]
    assert rows[0][1:4] == ["10.0000", "75.6", "-"]
    assert rows[1][1:5] == ["10.0529", "75.6", "30", "%"]
    assert rows[-1][1] == "10.5000"
    assert "Depth of field 75.6 µm at the near end, limited by the blur disc" in shown
    assert "circle of confusion 9 µm" in shown
    assert re.search(r"About \d.* of the instrument's time and \d+ MB of disk", shown)


def test_the_picture_draws_every_band_and_its_overlap_to_scale(files, capsys):
    plan(files)
    rows = [line for line in capsys.readouterr().out.splitlines() if "┣" in line]
    bands = sorted(band.span() for row in rows for band in re.finditer("┣━*┿━*┫", row))
    assert len(bands) == 11
    assert bands[0][0] == 0
    widths = [end - start for start, end in bands]
    assert max(widths) - min(widths) <= 1
    for (_, end), (start, _) in pairwise(bands):
        assert start < end


def test_a_long_plan_is_cut_in_the_table_but_not_in_json(files, capsys):
    text = PROTOCOL.replace("10.5 mm", "14 mm")
    (files / "protocol.yaml").write_text(text)
    plan(files)
    shown = capsys.readouterr().out
    assert "47 more" in shown
    assert "14.0000" in shown
    assert re.search(r"the first \d+ slices to scale; \d+ more follow", shown)
    plan(files, "--json")
    told = json.loads(capsys.readouterr().out)
    assert len(told["slices"]) == 77
    assert told["slices"][-1]["target_um"] == 14_000


def test_without_a_rig_the_simulated_bench_is_announced_in_capitals(files, capsys):
    assert main(["plan", "configs/protocols/demo-rail.yaml", "--json"]) == 0
    shown, told = capsys.readouterr()
    assert "SIMULATED BENCH: NO REAL INSTRUMENT IS USED" in told
    assert str(default_rig_path()) in told
    assert json.loads(shown)["slices"]


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        ("settle", "setle", 2, "protocol.yaml:3:1: setle: unknown key; did you mean 'settle'?"),
        ("near: 10 mm", "near: 10", 2, "protocol.yaml:2:15: range.near: needs a unit"),
        ("far: 10.5 mm", "far: 70 mm", 2, "beyond the axis' travel, which ends at 60 mm"),
        ("settle", "step: 200 um\nsettle", 4, "The largest allowed step is 68.04 µm"),
    ],
)
def test_refusals_have_their_exit_code_and_say_why(files, capsys, old, new, code, says):
    (files / "protocol.yaml").write_text(PROTOCOL.replace(old, new))
    assert plan(files) == code
    shown, told = capsys.readouterr()
    assert shown == ""
    assert says in " ".join(told.split())


def dof(capsys, *options: str) -> dict[str, float]:
    assert main(["dof", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_depth_of_field_of_a_lens(capsys):
    told = dof(capsys, "-m", "2.5", "-N", "4", "--coc", "45 um")
    assert told["effective_f_number"] == 14
    assert told["geometric_um"] == pytest.approx(201.6)
    assert told["wave_um"] == pytest.approx(69, abs=0.05)
    assert told["limiting_um"] == told["wave_um"]
    assert told["criterion"] == "wave"
    assert told["object_pixel_um"] == pytest.approx(9)


def test_depth_of_field_of_an_objective(capsys):
    told = dof(capsys, "-m", "10", "--na", "0.28", "--wavelength", "550nm")
    assert told["wave_um"] == pytest.approx(7.02, abs=0.005)
    assert told["effective_f_number"] == pytest.approx(17.86, abs=0.005)
    alone = dof(capsys, "--na", "0.25")
    assert alone["limiting_um"] == alone["wave_um"] == pytest.approx(8.8)
    assert alone["geometric_um"] is None
    immersed = dof(capsys, "-m", "60", "--na", "1.2", "--immersion", "1.33")
    assert immersed["wave_um"] == pytest.approx(1.33 * 0.55 / 1.2**2)
    assert immersed["geometric_um"] == pytest.approx(1.33 * 2 * 25 * 9 / 60**2)


def test_a_pupil_ratio_changes_the_effective_f_number(capsys):
    assert dof(capsys, "-m", "2", "-N", "4", "--pupil-ratio", "2")["effective_f_number"] == 8


def test_depth_of_field_in_words(capsys):
    assert main(["dof", "-m", "2", "-N", "5.6"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"depth of field that plans use +75\.6 µm", shown)
    assert re.search(r"limited by +the blur disc", shown)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-m", "2"], "give the aperture either as f-number"),
        (["-m", "2", "-N", "4", "--na", "0.1"], "give the aperture either as f-number"),
        (["-N", "4"], "needs the magnification too"),
        (["-m", "0", "-N", "4"], "-m must be between 1e-9 and 1e9, got 0"),
        (["-m", "2", "-N", "inf"], "-N must be between 1e-9 and 1e9"),
        (["-m", "1e-300", "-N", "1e-300"], "-m must be between 1e-9 and 1e9"),
        (["-m", "2", "-N", "4", "--coc", "9"], "--coc needs a unit: write '9' followed by nm, um"),
        (["-m", "2", "-N", "4", "--coc", "-9 um"], "--coc must be above 0, got '-9 um'"),
        (["-m", "two", "-N", "4"], "'-m'"),
        (["--na", "1.2"], "is not below the refractive index before the objective (1)"),
        (["--na", "1.2", "--immersion", "0.9"], "--immersion must be from 1 (air) to below 2"),
    ],
)
def test_the_calculator_refuses_with_a_reason(capsys, options, says):
    assert main(["dof", *options]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_version_and_those_of_the_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"macrorail \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
    assert main(["--version", "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)
    assert {"macrorail", "python", "numpy", "opencv", "libgphoto2"} <= set(versions)
    assert versions["libgphoto2"] is None or versions["libgphoto2"].startswith("2.")
    assert main(["--json", "plan"]) == 2
    assert "write '--json' after 'plan'" in capsys.readouterr().err


def test_what_a_rig_cannot_do_names_the_line_of_the_protocol(files, capsys):
    path = files / "protocol.yaml"
    text = path.read_text()
    number = next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith("range"))
    path.write_text(re.sub(r"near: [^,]*,", "near: -5 mm,", text))
    assert plan(files) == 2
    said = capsys.readouterr().err
    assert f"protocol.yaml:{number}:" in said and "range: the near end -5 mm" in said


def test_a_full_disk_behind_standard_output_is_no_bug() -> None:
    command = [sys.executable, "-m", "macrorail.cli", "dof", "-m", "2", "-N", "5.6"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=100)
    assert done.returncode == 2
    assert done.stderr.strip() == "Refused: No space left on device; make room on the disk"
