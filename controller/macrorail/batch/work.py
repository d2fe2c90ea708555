"""Makes one stack and records its inputs; runs on this machine or on any worker.

The record (``stack.json``) is written last: a stack is finished when its record exists and matches
its frames and settings.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import cv2
import numpy as np

from macrorail.batch.frames import add_frames, look_ahead, run_alignment
from macrorail.batch.job import StackJob
from macrorail.errors import StackError
from macrorail.run_folder.journal import JOURNAL, write_whole
from macrorail.run_folder.record import hash_file
from macrorail.stacking.alignment import Alignment
from macrorail.stacking.images import picture_size
from macrorail.stacking.register import Motion
from macrorail.stacking.stacker import Fused, Stacker
from macrorail.stacking.stream_worker import peak_rss_mb
from macrorail.stacking.writing import check_place, write_stack

RECORD = "stack.json"
#: Bytes per pixel of the picture in 16 bits and the depth map.
_RESULT_BYTES = 10
PICTURES = ("fused.tif", "fused.jpg", "depth.tif", "depth-confidence.png")


def make_stack(job: StackJob) -> dict[str, Any]:
    """Align and blend one stack, write its results, and return its record.

    The pixels are identical to those of ``macrorail stack`` with the same settings. Results are
    written to a temporary folder and then moved one by one, so that two workers can safely make
    the same stack at the same time.

    Raises
    ------
    StackError
        A frame cannot be read or aligned, or was changed during stacking; no result was replaced.
    """
    began_s = time.monotonic()
    _check_place(job)
    inputs = _inputs(job)
    stacker = Stacker(
        job.settings.quality, Motion(job.settings.motion or Motion.SIMILARITY), _known(job)
    )
    look_ahead(stacker, list(job.frames))
    for _ in add_frames(stacker, list(job.frames)):
        pass
    fused = stacker.finish()
    for one, before in zip(job.frames, inputs, strict=True):
        if _stamp(one.path) != {key: before[key] for key in _STAMP}:
            raise StackError(f"{one.path} was changed during stacking; restack these frames")
    aside = job.out.parent / f".{job.out.name}-{uuid4().hex[:12]}"
    try:
        aside.mkdir(parents=True)
        outputs, left_out = _write(job, fused, aside)
        record = _record(job, fused, inputs, outputs, left_out, time.monotonic() - began_s)
        job.out.mkdir(exist_ok=True)
        for name in PICTURES:
            (aside / name).replace(job.out / name)
    except OSError as error:
        raise StackError(f"{job.out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    write_whole(job.out / RECORD, json.dumps(record, indent=2))
    return record


def is_finished(job: StackJob, thoroughly: bool = False) -> bool:
    """Return whether the stack's results exist and were made from these frames and settings.

    Parameters
    ----------
    job
        The stack.
    thoroughly
        Whether to compare the hashes of all frames. Otherwise hashes are compared only for frames
        whose size or modification time differs from the record.
    """
    record = read_stack_record(job.out)
    if record is None:
        return False
    data = job.to_dict()
    if record["settings"] != data["settings"] or record["um_per_px"] != job.um_per_px:
        return False
    if [_place(one) for one in record["inputs"]] != [_place(one) for one in data["frames"]]:
        return False
    for name, size_bytes in record["outputs"].items():
        path = job.out / name
        if not path.is_file() or path.stat().st_size != size_bytes["size_bytes"]:
            return False
    return all(
        _is_as_recorded(one.path, before, thoroughly)
        for one, before in zip(job.frames, record["inputs"], strict=True)
    )


def _place(frame: dict[str, Any]) -> tuple[Any, ...]:
    return frame["index"], frame["path"], frame["z_um"], frame.get("page")


def read_stack_record(folder: Path) -> dict[str, Any] | None:
    """Return the record in a result folder; ``None`` if it is missing or cannot be read."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


_STAMP = ("size_bytes", "mtime_ns")


def _stamp(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _check_place(job: StackJob) -> None:
    """Check that the results can be written, before the first frame is read."""
    width, height, _ = picture_size(job.frames[0].path)
    try:
        job.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(f"{job.out} cannot be written: {error.strerror or error}") from error
    check_place(job.out.parent / RECORD, width * height * _RESULT_BYTES)


def _inputs(job: StackJob) -> list[dict[str, Any]]:
    """Return size, modification time and hash of each frame's file."""
    files = {one.path: _input(one.path) for one in job.frames}
    return [files[one.path] for one in job.frames]


def _input(path: Path) -> dict[str, Any]:
    try:
        return {**_stamp(path), "sha256": hash_file(path)}
    except OSError as error:
        raise StackError(
            f"{path} cannot be read on {socket.gethostname()}: {error.strerror}; every worker "
            f"must be able to read the frames under the same path"
        ) from error


def _is_as_recorded(path: Path, before: dict[str, Any], thoroughly: bool) -> bool:
    try:
        if not thoroughly and _stamp(path) == {key: before[key] for key in _STAMP}:
            return True
        same_size = path.stat().st_size == before["size_bytes"]
        return bool(same_size and hash_file(path) == before["sha256"])
    except OSError:
        return False


def _known(job: StackJob) -> Alignment | None:
    """Return the alignment that a run recorded; ``None`` if the job's frames are not from a run."""
    is_run = (job.origin / JOURNAL).exists() and job.frames[0].z_um is not None
    return run_alignment(job.origin) if is_run and job.settings.motion is None else None


def _write(job: StackJob, fused: Fused, folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Write the result's pictures; return each file's size and hash, and the metadata left out."""
    left_out = write_stack(
        fused, folder, PICTURES[:3], job.um_per_px, job.frames[0].path, len(fused.reports)
    )
    files = {
        name: {"size_bytes": (folder / name).stat().st_size, "sha256": hash_file(folder / name)}
        for name in PICTURES
    }
    return files, left_out


def _record(
    job: StackJob,
    fused: Fused,
    inputs: list[dict[str, Any]],
    outputs: dict[str, Any],
    left_out: tuple[str, ...],
    seconds: float,
) -> dict[str, Any]:
    data = job.to_dict()
    return {
        "name": job.name,
        "origin": data["origin"],
        "notes": data["notes"],
        "settings": data["settings"],
        "um_per_px": job.um_per_px,
        "inputs": [{**frame, **known} for frame, known in zip(data["frames"], inputs, strict=True)],
        "outputs": outputs,
        "valid_rect": list(fused.valid_rect),
        "doubts": [*fused.doubts, *left_out],
        "left_out": {str(one.index): one.reason for one in fused.left_out},
        "transforms": {str(one.index): one.transform.tolist() for one in fused.reports},
        "trust": {str(one.index): one.trust for one in fused.reports},
        "seconds": round(seconds, 3),
        "peak_rss_mb": peak_rss_mb(),
        "made_by": {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "macrorail": version("macrorail"),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }
