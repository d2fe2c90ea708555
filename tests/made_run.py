"""A run folder made for tests: real frames, a real journal, really fused; no instrument."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from pathlib import Path
from typing import Any

import cv2
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from macrorail.run_folder.journal import JOURNAL, Journal, read_journal
from macrorail.run_folder.manifest import build_manifest
from macrorail.stacking.stacker import Stacker
from macrorail.stacking.stream_worker import report_to_dict, write_results
from tests.made_events import made
from tests.made_stack import make_stack

UM_PER_PX = 2.5
STEP_UM = 50.0
DOF_UM = 75.0
#: What the optics tell of the frames' size, from one to the next: as ``make_stack`` grows them.
SCALE_PER_SLICE = 1 / 1.004
_EXIF_IFD = 0x8769


def make_run(
    parent: Path,
    count: int = 5,
    width: int = 360,
    height: int = 240,
    finished: bool = True,
    message: str = "",
    protocol: str = "",
    icc: bytes | None = None,
) -> Path:
    """A run of ``count`` slices with one fault on the way; returns its folder."""
    folder = parent / "20261122-200000-made"
    (folder / "frames").mkdir(parents=True)
    (folder / "protocol.yaml").write_text(
        protocol
        or "specimen: {id: made}\nrange: {near: 10 mm, far: 10.2 mm}\nstep: 50 um\n"
        "settle: 0 s\nexposure: {aperture: f/5.6, shutter: 1/60 s}\n"
    )
    ticks = itertools.count()
    journal = Journal(folder / JOURNAL, lambda: float(next(ticks)))
    journal.append(made("started", run=folder.name, specimen={"id": "made"}, slices=count))
    journal.append(
        made(
            "axis_opened",
            model="test rail",
            version="1",
            travel_um=[0.0, 50_000.0],
            resolution_um=0.5,
            estimated=False,
        )
    )
    journal.append(
        made(
            "camera_opened",
            model="D850",
            version="V1.20",
            serial="6001234",
            battery_percent=80,
            found_settings={},
        )
    )
    journal.append(made("settings", aperture="f/5.6", shutter="1/60", iso="100"))
    stacker = Stacker()
    for index, pixels in enumerate(make_stack(count, width, height).frames):
        if index == 2:
            journal.append(
                made(
                    "fault",
                    slice=3,
                    attempt=1,
                    part="camera",
                    state="collecting",
                    error="FrameMissing",
                    message="slice 3 did not arrive",
                    remedy="retry",
                    wait_s=0.0,
                )
            )
        path = folder / "frames" / f"{index + 1:04d}.jpg"
        _write_frame(path, pixels, index, icc)
        data = path.read_bytes()
        position_um = 10_000.0 + STEP_UM * index
        journal.append(
            made(
                "counted",
                slice=index + 1,
                attempt=1 + (index == 2),
                target_um=position_um,
                achieved_um=position_um + 0.125,
                dof_um=DOF_UM,
                adopted=False,
                frame=f"frames/{path.name}",
                sha256=hashlib.sha256(data).hexdigest(),
                size_bytes=len(data),
                camera_name=f"DSC_{index:04d}.JPG",
            )
        )
        report = stacker.add(path, index + 1, position_um + 0.125, scale=SCALE_PER_SLICE**index)
        journal.append(made("aligned", **report_to_dict(report)))
    if finished:
        _finish(journal, stacker, folder, count, message)
    journal.close()
    if finished:
        manifest = build_manifest(read_journal(folder / JOURNAL))
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _finish(journal: Journal, stacker: Stacker, folder: Path, count: int, message: str) -> None:
    overlap = 1 - STEP_UM / DOF_UM
    overlaps: list[dict[str, Any]] = [
        {"position_um": 10_000.125 + STEP_UM * k, "overlap": overlap if k else None}
        for k in range(count)
    ]
    journal.append(made("coverage", overlaps=overlaps))
    fused = write_results(stacker.finish(), folder, UM_PER_PX)
    journal.append(made("fused", **fused))
    journal.append(made("ended", message=message))


def _write_frame(path: Path, pixels: Any, index: int, icc: bytes | None) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "NIKON CORPORATION", "NIKON D850"
    sub = exif.get_ifd(_EXIF_IFD)
    sub[0x829A], sub[0x829D], sub[0x8827] = IFDRational(1, 60), IFDRational(56, 10), 100
    sub[0x9003] = f"2026:11:22 20:00:{index:02d}"
    sub[0xA434] = "105mm f/2.8"
    sub[0x927C] = b"MakerNote\0only the camera knows"
    stream = io.BytesIO()
    picture = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    picture.save(stream, "JPEG", quality=95, exif=exif, icc_profile=icc)
    path.write_bytes(stream.getvalue())
