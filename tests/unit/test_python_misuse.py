"""The Python API given what it cannot use: refused in words, before anything moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import macrorail
from macrorail.errors import ConfigError, StackError
from macrorail.run_folder.journal import Entry
from tests.virtual import RAIL, protocol_text

PICTURES = [np.full((32, 40, 3), 90 + level, dtype=np.uint8) for level in range(2)]


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(RAIL)
    return path


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    path = tmp_path / "protocol.yaml"
    path.write_text(protocol_text(far="10.3 mm") + "proof: {extend: 0 %, images: off}\n")
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quality": "BEST"}, "quality must be fast or best, got 'BEST'"),
        ({"method": "x"}, "method must be pyramid, depth-map or auto, got 'x'"),
        ({"align": "x"}, "align must be none, shift, similarity or affine, got 'x'"),
        ({"memory": "much"}, "memory must be a size"),
        ({"positions_um": [1, float("nan")]}, "position 2 must be a number of micrometres"),
        ({"positions_um": "ab"}, "position 1 must be a number of micrometres, got 'a'"),
    ],
)
def test_an_option_of_stack_is_refused_with_its_choices(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        macrorail.stack(PICTURES, **options)


def test_stack_takes_generators_and_any_byte_order() -> None:
    by_list = macrorail.stack([one.astype(np.uint16) * 257 for one in PICTURES], align="none")
    turned = (one.astype(">u2") * 257 for one in PICTURES)
    by_generator = macrorail.stack(turned, align="none", positions_um=(z for z in (0.0, 40.0)))
    assert (by_generator.picture == by_list.picture).all()
    with pytest.raises(ConfigError, match="list of frames is empty"):
        macrorail.stack([])


@pytest.mark.parametrize("limit", [float("nan"), float("inf")])
def test_a_limit_that_is_no_number_is_refused(rig: Path, limit: float) -> None:
    with (
        pytest.raises(ConfigError, match="must be a length"),
        macrorail.connect(rig, closest_approach=limit),
    ):
        pass


def test_photographs_of_two_connections_share_a_folder(rig: Path, tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    names = []
    for _ in range(2):
        with macrorail.connect(rig, folder=shots) as instrument:
            assert instrument.camera.configure(iso=100) == {"iso": "100"}
            names.append(instrument.camera.shoot().path.name)
    assert names == ["0001.jpg", "0002.jpg"]
    with (
        pytest.raises(ConfigError, match="cannot make a folder"),
        macrorail.connect(rig, folder=rig),
    ):
        pass


def test_what_is_no_function_or_text_is_refused_before_a_run(
    rig: Path, protocol: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    with pytest.raises(TypeError, match="on_event is a function"):
        macrorail.run(protocol, rig=rig, out=out, on_event=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="specimen is text"):
        macrorail.run(protocol, rig=rig, out=out, specimen=7)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="null"):
        macrorail.run("a\0b", rig=rig, out=out)
    assert not out.exists()


def raise_at(number: int, error: BaseException) -> Callable[[Entry], None]:
    def on_event(entry: Entry) -> None:
        if entry.number == number:
            raise error

    return on_event


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_an_exit_in_a_callback_ends_the_run_in_order(
    rig: Path, protocol: Path, tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)) as raised:
        macrorail.run(protocol, rig=rig, out=tmp_path / "runs", on_event=raise_at(8, error))
    assert raised.value is error
    (folder,) = (tmp_path / "runs").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["state"], manifest["finish_reason"]) == ("aborted", "stopped_by_operator")
    assert macrorail.resume(folder).state.value == "done"


def test_the_working_directory_may_change_during_a_run(
    rig: Path, protocol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    result = macrorail.run(
        protocol.name, rig=rig.name, on_event=lambda _: monkeypatch.chdir(elsewhere)
    )
    assert result.folder.parent == tmp_path / "runs"
    assert all(frame.is_file() for frame in result.frames)
    assert list(elsewhere.iterdir()) == []
    (result.folder / "fused.tif").write_bytes(b"no picture")
    with pytest.raises(StackError, match="is damaged"):
        _ = result.picture
