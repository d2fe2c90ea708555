"""Strict YAML: what is refused, where the error points, and what it tells the user to do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from macrorail.config.document import Section, key_error, load_document, read_document
from macrorail.config.rig import load_rig
from macrorail.errors import ConfigError
from macrorail.quantity import Length


class Leg(Section):
    length_um: Length = Field(alias="length", gt=0)
    joints: int = 3


class Beetle(Section):
    name: str
    legs: tuple[Leg, ...] = ()
    wings: Leg | None = None
    armoured: bool = False

    @model_validator(mode="after")
    def _can_fly(self):
        if self.armoured and self.wings is not None:
            raise key_error("wings", "do not fit under {armour}")
        return self


def load(tmp_path: Path, text: str | bytes) -> Beetle:
    path = tmp_path / "beetle.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_document(path, Beetle)


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    return str(error.value).replace(f"{tmp_path}{os.sep}", "")


@pytest.mark.parametrize("written", ["1:30", "on", "1e3", "0x10", "2024-01-01", "null", "~", "3.0"])
def test_text_means_what_is_written(tmp_path, written):
    assert load(tmp_path, f"name: {written}\n").name == written


def test_reads_a_whole_document(tmp_path):
    beetle = load(
        tmp_path,
        "name: Carabus\nlegs:\n  - {length: 4 mm}\n  - length: 5 mm\n    joints: 4\n"
        "armoured: yes\n",
    )
    assert [leg.length_um for leg in beetle.legs] == [4000, 5000]
    assert beetle.legs[1].joints == 4
    assert beetle.armoured


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name: x\nwinks: {length: 1 mm}\n",
            "beetle.yaml:2:1: winks: unknown key; did you mean 'wings'? "
            "allowed here: name, legs, wings, armoured",
        ),
        (
            "name: x\nlegs:\n  - lenght: 1 mm\n",
            "beetle.yaml:3:5: legs[1].length: is missing\n"
            "beetle.yaml:3:5: legs[1].lenght: unknown key; did you mean 'length'? "
            "allowed here: length, joints",
        ),
        ("name: x\nlegs:\n  - length: 12\n", "beetle.yaml:3:13: legs[1].length: needs a unit"),
        ("name: x\nwings: {length: 0 mm}\n", "2:17: wings.length: must be above 0, got '0 mm'"),
        ("name: x\nwings: {length_um: 4 um}\n", "2:9: wings.length_um: unknown key"),
        ("name: x\nwings: {length: 1 mm, joints: 1e3}\n", "must be a whole number, got '1e3'"),
        ("name: x\narmoured: maybe\n", "2:11: armoured: must be yes or no, got 'maybe'"),
        ("name: [x]\n", "1:7: name: must be plain text, got a list"),
        ("name: x\nlegs: 6\n", "2:7: legs: must be a list"),
        ("name: x\nwings: 2\n", "2:8: wings: must be a mapping (lines of 'key: value'), got '2'"),
        ("legs: []\n", "1:1: name: is missing"),
        ("name: x\nname: y\n", "2:1: name: is given twice; the first is at 1:1"),
        ("name: x\nname :\n", "2:1: name: is given twice"),
        ("name:\n", "name: has no value; write a value or remove the key"),
        ("name: &a x\n", "1:7: name: YAML anchors"),
        ("name: x\nlegs: *a\n", "2:7: legs: YAML anchors"),
        ("name: !!python/object:os.system x\n", "1:7: name: YAML tags"),
        ("? [a]\n: b\n", "a key must be plain text"),
        ("- a\n", "1:1: must be a mapping"),
        ("", "1:1: is empty"),
        ("# only a comment\n", "is empty"),
        ("name: x\n---\nname: y\n", "2:1: a second document starts here"),
        ("name: x\n\tlegs: []\n", "2:1: is not valid YAML"),
        ("name:\n\t- x\n", "indent with spaces, not tabs"),
        ("name: a: b\n", "1:8: is not valid YAML"),
        ("name: [a\n", "is not valid YAML"),
        ("name: a\x01b\n", "1:8: contains a control character"),
        (b"name: x\nlegs: \xff\n", "beetle.yaml:2:7: is not UTF-8 text"),
        (
            "name: x\narmoured: yes\nwings: {length: 1 mm}\n",
            "3:8: wings: do not fit under {armour}",
        ),
    ],
)
def test_errors_name_file_line_column_and_what_to_do(tmp_path, text, says):
    assert says in refusal(tmp_path, text)


def test_all_errors_are_told_at_once_in_the_files_order(tmp_path):
    lines = refusal(tmp_path, "nam: x\nwings: {length: 12}\narmoured: maybe\n").splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "1", "2", "3"]


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_document(tmp_path / "none.yaml", Beetle)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_document(tmp_path, Beetle)


def test_ten_megabytes_are_refused_unread(tmp_path):
    assert "larger than 1 MB" in refusal(tmp_path, b"name: " + b"x" * 10_000_000)


@pytest.mark.parametrize("text", ["name: " + "[" * 400_000, "name: " + "{a: " * 200_000])
def test_deep_nesting_is_refused_quickly(tmp_path, text):
    started = time.monotonic()
    assert "nested deeper than 20 levels" in refusal(tmp_path, text)
    assert time.monotonic() - started < 5


def test_a_bomb_of_aliases_is_refused(tmp_path):
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "anchors" in refusal(tmp_path, bomb)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_its_place(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        read_document(path)
    except ConfigError as error:
        assert str(error).startswith(f"{path}:")


RIG = """camera:
  driver: drivers_for_tests:Camera
  port: usb
  image_width: 1200
  image_height: 800
  pixel_pitch: 4.5 um
  frame_size: 600 kB
  download: 0.4 s
axis:
  driver: drivers_for_tests:Rail
  port: /dev/ttyUSB0
  travel: {from: 0 mm, to: 60 mm}
  closest_approach: 50 mm
  speed: 2 mm/s
optics:
  magnification: 2
"""

DRIVERS = """from macrorail.config.rig import AxisSection, CameraSection

class Camera:
    class Options(CameraSection):
        pass

class Rail:
    class Options(AxisSection):
        port: str
        microsteps: int = 16

value = 3
"""


@pytest.fixture
def rig_path(tmp_path, monkeypatch):
    (tmp_path / "drivers_for_tests.py").write_text(DRIVERS)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return path


def test_a_rigs_sections_are_their_drivers_options(rig_path):
    rig = load_rig(rig_path)
    assert rig.axis.port == "/dev/ttyUSB0"
    assert rig.axis.microsteps == 16
    assert rig.axis.allowed_um == (0, 50_000)
    assert rig.bench is None
    assert "microsteps" in rig.model_dump()["axis"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tests:Rail", "tests:Lens", "10:11: axis.driver: module 'drivers_for_tests' has no class"),
        ("tests:Rail", "tests:value", "has no class 'value'"),
        ("drivers_for_tests:Rail", "nowhere:Rail", "cannot import 'nowhere': No module named"),
        (
            "drivers_for_tests:Rail",
            "Rail",
            "there is no axis driver 'Rail'; did you mean 'rail'?",
        ),
        ("tests:Rail", "tests:Camera", "is not a driver for 'axis'"),
        ("  speed", "  sped", "axis.sped: unknown key; did you mean 'speed'?"),
        ("to: 60 mm", "to: -6 mm", "12:28: axis.travel.to: must be greater than 'from' (0 µm)"),
        ("approach: 50", "approach: -5", "13:21: axis.closest_approach: -5 mm leaves no room"),
        ("optics:", "optiks:", "15:1: optiks: unknown key; did you mean 'optics'?"),
        ("magnification: 2", "magnification: 0", "16:18: optics.magnification: must be above 0"),
        ("4.5 um", "4.5", "6:16: camera.pixel_pitch: needs a unit"),
    ],
)
def test_rig_errors_point_at_their_place(rig_path, old, new, says):
    rig_path.write_text(RIG.replace(old, new))
    with pytest.raises(ConfigError) as error:
        load_rig(rig_path)
    assert says in str(error.value)


def test_errors_of_several_sections_are_told_at_once(rig_path):
    rig_path.write_text(RIG.replace("usb", "[]").replace("speed", "sped"))
    with pytest.raises(ConfigError, match=r"(?s)camera\.port.*axis\.sped"):
        load_rig(rig_path)
