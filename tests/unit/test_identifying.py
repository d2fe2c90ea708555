"""A run's specimen, settled before the first shot and carried into its folder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from macrorail.cli.messages import message_console
from macrorail.cli.terminal import TerminalObserver
from macrorail.clock import WorldClock
from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.errors import IdentityError
from macrorail.session.specimen import ResolvedSpecimen, ids_in, resolve_specimen
from tests.made_run import make_run

BODY = "range: {near: 1 mm, far: 2 mm}\nsettle: 0 s\nexposure: {shutter: 1/60 s}\n"


def settle(folder: Path, head: str, given: str | None = None) -> ResolvedSpecimen:
    path = folder / "p.yaml"
    path.write_text(f"{head}\n{BODY}")
    (folder / "list.csv").write_text("id,scientificName\nNHM-1,Cetonia aurata\nNHM-2,\n")
    rig: Any = None
    wanted = load_document(path, Protocol)
    return resolve_specimen(
        path, wanted, given, rig, folder / "runs", TerminalObserver(message_console())
    )


def test_an_id_in_the_protocol_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    settled = settle(tmp_path, "specimen: {id: NHM-9}")
    assert (settled.wanted.specimen.id, settled.text) == ("NHM-9", None)


def test_the_command_line_goes_through_the_same_checks(tmp_path: Path) -> None:
    assert settle(tmp_path, "specimen: {id: NHM-9}", "NHM-7").wanted.specimen.id == "NHM-7"
    head = "identity: {from: prompt, list: list.csv}"
    settled = settle(tmp_path, head, "nhm-1")
    assert settled.wanted.specimen.id == "NHM-1"
    assert settled.wanted.specimen.scientific_name == "Cetonia aurata"
    assert settled.text is not None and "identity" not in settled.text
    with pytest.raises(IdentityError, match="is not in"):
        settle(tmp_path, head, "NHM-3")
    with pytest.raises(IdentityError, match="names 2 specimens"):
        settle(tmp_path, "identity: {from: list, list: list.csv}")


def test_what_was_shot_is_known_from_the_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", 2, 120, 80)
    assert list(ids_in(tmp_path / "runs")) == ["made"]
    with pytest.raises(IdentityError, match="shot already"):
        settle(tmp_path, "identity: {from: prompt}", "made")


def test_nobody_at_the_keyboard_is_quarantine_by_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    settled = settle(tmp_path, "identity: {from: prompt, missing: quarantine}")
    assert settled.wanted.specimen.id == "unidentified-p"
    assert settled.out == tmp_path / "runs" / "quarantine"
    with pytest.raises(IdentityError, match="no id was given"):
        settle(tmp_path, "identity: {from: prompt}")


def test_the_camera_looks_at_the_label_where_the_protocol_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = zxingcpp.create_barcode("NHM-2", zxingcpp.BarcodeFormat.DataMatrix).to_image(scale=6)
    picture = tmp_path / "seen.png"
    cv2.imwrite(str(picture), np.pad(np.array(code), 40, constant_values=255))
    done: list[Any] = []
    axis = SimpleNamespace(
        open=lambda nearest: done.append("open"),
        home=lambda: done.append("home"),
        start_move=done.append,
        finish_move=lambda: done.append("there"),
    )
    camera = SimpleNamespace(
        open=lambda: None,
        configure=lambda settings: done.append(settings),
        expose=lambda stem: done.append("exposed"),
        collect=lambda exposure: SimpleNamespace(path=picture),
    )

    @contextmanager
    def connected(rig: object) -> Iterator[Any]:
        yield SimpleNamespace(axis=axis, camera=camera, clock=WorldClock())

    monkeypatch.setattr("macrorail.session.specimen.connect", connected)
    settled = settle(tmp_path, "identity: {from: frame, list: list.csv, position: 1.5 mm}")
    assert (settled.wanted.specimen.id, settled.wanted.specimen.id_from) == ("NHM-2", "frame")
    assert done == [{"shutter": "1/60 s"}, "open", "home", 1500.0, "there", "exposed"]
