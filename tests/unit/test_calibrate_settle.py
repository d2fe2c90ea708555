"""``macrorail calibrate settle``: the shortest wait that costs no sharpness, kept in the rig."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from macrorail.calibration.settle import SettleCalibration
from macrorail.config.rig_edit import with_settle
from macrorail.errors import ConfigError, PlanError
from macrorail.proof.measure import Measurement, measure
from tests.unit.test_finding import Bench
from tests.virtual import RAIL


def calibrated(folder: Path, vibration: str, at_um: float = 10_700.0) -> float:
    swinging = RAIL.replace("  seed: 7", f"  seed: 7\n  vibration: {vibration}")
    bench = Bench(folder, rig=swinging)
    bench.camera.open()
    bench.camera.configure({"aperture": "f/4", "shutter": "1/60", "iso": "100"})
    bench.axis.open()
    bench.axis.home()

    def look() -> Measurement:
        path = bench.camera.collect(bench.camera.expose(folder / "look")).path
        seen = measure(path)
        path.unlink()
        return seen

    said: list[str] = []
    calibration = SettleCalibration(bench.axis, bench.clock, look, at_um, 100.0, 3, said.append)
    found = calibration.measure()
    assert len(said) == len(found.waits)
    return found.settle_s


@pytest.mark.slow
def test_a_longer_swing_takes_a_longer_wait(tmp_path):
    # By the decay the swing is below a third of a pixel after ln(20 um / 1.5 um) decay times.
    brief = calibrated(tmp_path, "{amplitude: 20 um, decay: 0.03 s}")
    lasting = calibrated(tmp_path, "{amplitude: 20 um, decay: 0.2 s}")
    assert brief <= 0.15
    assert 0.3 <= lasting <= 0.8


@pytest.mark.slow
def test_without_texture_nothing_is_claimed(tmp_path):
    with pytest.raises(PlanError, match="nothing is in focus"):
        calibrated(tmp_path, "{amplitude: 20 um}", at_um=30_000.0)


@pytest.mark.parametrize(
    "text",
    [
        "axis:\n  driver: x:Y\n  speed: 2 mm/s  # slow\n\noptics: {na: 1}\n",
        "axis:\n  driver: x:Y\n  settle: 1 s  # by eye\n  speed: 2 mm/s\noptics: {na: 1}\n",
        "bench: {}\naxis: # the rail\n\n    driver: x:Y\n",
    ],
)
def test_the_rig_file_keeps_everything_else(text):
    told = with_settle(text, "settle: 250 ms")
    assert yaml.safe_load(told)["axis"].pop("settle") == "250 ms"
    before, after = yaml.safe_load(text), yaml.safe_load(told)
    for each in (before, after):
        each["axis"].pop("settle", None)
    assert before == after
    comments = [part.split("\n")[0] for part in text.split("#")[1:]]
    assert all(comment in told for comment in comments)
    assert with_settle(told, "settle: 250 ms") == told


def test_a_section_in_one_line_is_left_to_its_writer():
    with pytest.raises(ConfigError, match="not written with one key per line"):
        with_settle("axis: {driver: x:Y}\n", "settle: 1 ms")


def test_a_protocol_can_rely_on_the_rig(tmp_path):
    rig = RAIL.replace("  speed: 4 mm/s", "  speed: 4 mm/s\n  settle: 250 ms")
    bench = Bench(tmp_path, rig=rig)
    wanted = bench.wanted.model_copy(update={"settle": "measured"})
    assert wanted.settle_s(bench.rig.axis.settle_s) == 0.25
    with pytest.raises(PlanError, match="calibrate settle"):
        wanted.settle_s(None)
