"""Canonical settings: how a value as written finds the camera's own choice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrorail.devices.frame_settings import quantity
from macrorail.devices.gphoto.settings import (
    WIDGETS,
    as_in_protocol,
    choose,
    drive_sizes,
    drive_values,
    formats_of,
    widgets_of,
)
from macrorail.errors import CameraSettingRefused

NIKON_SHUTTERS = ["1/8000", "1/6400", "1/60", "1/50", "0.5", "1", "30", "Bulb"]
NIKON_SHUTTERS_ROUNDED = ["0.0001s", "0.0002s", "0.0167s", "0.0200s", "0.5000s", "Bulb"]
CANON_SHUTTERS = ["bulb", "30", "0.5", "1/50", "1/60", "1/8000"]
CANON_STOPS = ["2.8", "4", "5.6", "8"]


@pytest.mark.parametrize(
    ("name", "value", "choices", "chosen"),
    [
        ("shutter", "1/60", NIKON_SHUTTERS, "1/60"),
        ("shutter", "1/60 s", NIKON_SHUTTERS_ROUNDED, "0.0167s"),
        ("shutter", "1/60", CANON_SHUTTERS, "1/60"),
        ("shutter", "1/2", CANON_SHUTTERS, "0.5"),
        ("shutter", "bulb", NIKON_SHUTTERS, "Bulb"),
        ("aperture", "f/5.6", CANON_STOPS, "5.6"),
        ("aperture", "8", ["f/8", "f/11"], "f/8"),
        ("iso", "400", ["Auto", "200", "400"], "400"),
        ("image_format", "jpeg fine", ["JPEG Normal", "JPEG Fine"], "JPEG Fine"),
    ],
)
def test_the_choice_that_is_meant_is_found(
    name: str, value: str, choices: list[str], chosen: str
) -> None:
    assert choose(name, value, choices) == chosen


@pytest.mark.parametrize(
    ("name", "value", "choices"),
    [
        ("shutter", "1/8000", NIKON_SHUTTERS_ROUNDED),  # 0.0001s might be 1/8000 or 1/10000
        ("shutter", "1/55", NIKON_SHUTTERS),
        ("iso", "401", ["400", "500"]),
        ("aperture", "f/0", ["f/8"]),
        ("aperture", "f/8", []),
    ],
)
def test_what_is_not_offered_is_refused_with_what_is(
    name: str, value: str, choices: list[str]
) -> None:
    with pytest.raises(CameraSettingRefused, match="it offers") as refused:
        choose(name, value, choices)
    assert all(choice in str(refused.value) for choice in choices)


def test_an_unknown_setting_lists_the_known() -> None:
    with pytest.raises(CameraSettingRefused) as refused:
        widgets_of("zoom")
    assert all(name in str(refused.value) for name in WIDGETS)


@given(denominator=st.integers(1, 8000))
def test_a_fraction_is_its_quotient(denominator: int) -> None:
    assert quantity(f"1/{denominator}") == pytest.approx(1 / denominator)


@pytest.mark.parametrize("word", ["Bulb", "Auto", "f/", "", "1/0", "-5", "1/2/3"])
def test_words_are_no_quantities(word: str) -> None:
    assert quantity(word) is None


@pytest.mark.parametrize(
    ("image_format", "files"),
    [
        ("JPEG Fine", ("jpeg",)),
        ("Large Fine JPEG", ("jpeg",)),
        ("NEF (Raw)", ("raw",)),
        ("RAW", ("raw",)),
        ("cRAW", ("raw",)),
        ("NEF+Basic*", ("raw", "jpeg")),
        ("RAW + Large Fine JPEG", ("raw", "jpeg")),
        (None, ("jpeg",)),
    ],
)
def test_a_format_says_how_many_files_come(image_format: str | None, files: tuple[str]) -> None:
    assert formats_of(image_format) == files


@pytest.mark.parametrize(
    ("name", "menu"),
    [
        ("shutter", ["1/8000", "1/60", "10/13", "1.3", "30", "Bulb"]),
        ("shutter", ["0.0001s", "0.0166s", "0.3333s", "0.7692s", "1.0000s", "1.6000s"]),
        ("aperture", ["f/1.4", "f/5.6", "f/22"]),
        ("aperture", ["implicit auto", "2.8", "11"]),
        ("iso", ["Auto", "100", "12800"]),
    ],
)
def test_a_menu_in_a_protocols_words_means_the_same(name: str, menu: list[str]) -> None:
    written = as_in_protocol(name, menu)
    numbers = [choice for choice in menu if quantity(choice) is not None]
    assert [choose(name, text, menu) for text in written] == numbers
    assert all(text.endswith(" s") for text in written) == (name == "shutter")


@pytest.mark.parametrize(
    ("widget", "is_range", "steps", "size", "values"),
    [
        ("manualfocusdrive", True, 150, 1, [150.0]),  # Nikon
        ("manualfocusdrive", False, -2, 1, ["Near 1", "Near 1"]),  # Canon, Olympus, Panasonic
        ("manualfocusdrive", False, 2, 3, ["Far 3", "Far 3"]),
        ("manualfocus", True, 3, 1, [1.0, 1.0, 1.0]),  # Sony
        ("manualfocus", True, -1, 7, [-7.0]),
    ],
)
def test_steps_become_what_each_makers_drive_takes(
    widget: str, is_range: bool, steps: int, size: int, values: list[float | str]
) -> None:
    assert drive_values(widget, is_range, steps, size) == values


@pytest.mark.parametrize(
    ("widget", "choices", "highest", "sizes"),
    [
        ("manualfocusdrive", [], 32767, 0),  # Nikon
        (
            "manualfocusdrive",
            ["Near 1", "Near 2", "Near 3", "None", "Far 1", "Far 2", "Far 3"],
            0,
            3,
        ),
        ("manualfocus", [], 7, 7),  # Sony
    ],
)
def test_a_drives_widget_tells_how_many_sizes_there_are(
    widget: str, choices: list[str], highest: float, sizes: int
) -> None:
    assert drive_sizes(widget, choices, highest) == sizes


@pytest.mark.parametrize(
    ("maker", "names"),
    [
        ("Canon EOS", {"shutterspeed", "aperture", "iso", "whitebalance", "imageformat"}),
        ("Nikon", {"shutterspeed2", "f-number", "iso", "whitebalance", "imagequality"}),
        ("Sony", {"shutterspeed", "f-number", "iso", "whitebalance", "imagequality"}),
        ("Fuji", {"shutterspeed", "f-number", "iso", "whitebalance", "imageformat"}),
        ("Olympus", {"shutterspeed", "aperture", "iso", "whitebalance", "imageformat"}),
        ("Panasonic", {"shutterspeed", "f-number", "iso", "whitebalance", "imageformat"}),
    ],
)
def test_every_makers_names_are_known(maker: str, names: set[str]) -> None:
    for name in ("shutter", "aperture", "iso", "white_balance", "image_format"):
        assert names & set(widgets_of(name)), f"{maker} has another name for {name}"
