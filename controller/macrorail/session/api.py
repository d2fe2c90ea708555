"""The functions that ``import macrorail`` offers."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from macrorail.config.protocol import load_protocol
from macrorail.config.rig import load_rig
from macrorail.errors import ConfigError, MacrorailError
from macrorail.planning.plan import Plan, errors_with_lines
from macrorail.planning.plan import make_plan as _make_plan
from macrorail.planning.range_search.finder import FoundRange
from macrorail.quantity import parse_size
from macrorail.run_folder import events as events
from macrorail.run_folder.events import Event
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.record import read_record
from macrorail.session.check import CheckReport, check_instrument
from macrorail.session.observer import RunObserver
from macrorail.session.range_search import find_range
from macrorail.session.results import RunResult, StackResult
from macrorail.session.run import RunOutcome, resume_run, start_run
from macrorail.session.stack import StackSettings, stack_arrays, stack_photographs
from macrorail.stacking.blend import Quality
from macrorail.stacking.register import Motion
from macrorail.stacking.smooth import Method
from macrorail.states import FinishReason, State

_LOG = logging.getLogger("macrorail.callback")
Array = NDArray[np.uint8] | NDArray[np.uint16]


def plan(protocol: str | Path, *, rig: str | Path) -> Plan:
    """Plan a stack without connecting to any device; return the plan.

    Parameters
    ----------
    protocol
        YAML file of the stack to shoot.
    rig
        YAML file of the instrument.

    Returns
    -------
    Plan
        The slices; their ``positions_um``, ``dof_um`` and ``overlap`` as arrays; the predicted
        ``duration_s`` and ``size_bytes``.

    Raises
    ------
    ConfigError, PlanError, OverlapError
    """
    with errors_with_lines(Path(protocol)):
        return _make_plan(load_protocol(Path(protocol)), load_rig(Path(rig)))


def search(
    protocol: str | Path,
    *,
    rig: str | Path,
    on_event: Callable[[Event], object] | None = None,
) -> FoundRange:
    """Home the axis, search for the specimen with pictures along the axis, and return its range.

    No run folder is created, and the pictures are deleted.

    Parameters
    ----------
    protocol
        YAML file of the stack to shoot, with ``range: auto`` or ``range: {search: …}``.
    rig
        YAML file of the instrument.
    on_event
        Called with each event of the search, such as ``SearchSampled``.

    Returns
    -------
    FoundRange
        The range to shoot as ``near_um`` and ``far_um``, the ends of the specimen as ``ends``, and
        the number of pictures as ``looks``.

    Raises
    ------
    ConfigError, PlanError, DeviceError, OperatorStop
    """
    wanted, loaded = load_protocol(Path(protocol)), load_rig(Path(rig))
    return find_range(wanted, loaded, on_event or (lambda _: None))


def check(rig: str | Path) -> CheckReport:
    """Check an instrument: connect, read versions, home the axis, and take one test frame.

    The axis moves first, away from the specimen; then the stage moves.

    Parameters
    ----------
    rig
        YAML file of the instrument.

    Raises
    ------
    ConfigError, DeviceError, FrameError
        The instrument is not fit to run.
    """
    return check_instrument(load_rig(Path(rig)), lambda _: None, RunObserver())


def run(
    protocol: str | Path,
    *,
    rig: str | Path,
    out: str | Path = "runs",
    specimen: str | None = None,
    on_event: Callable[[Entry], object] | None = None,
) -> RunResult:
    """Shoot a stack unattended and fuse it.

    Ctrl-C stops the axis, keeps every finished slice and raises ``OperatorStop``; :func:`resume`
    continues the run. This function may be called from any thread, but Ctrl-C is handled only in
    the main thread.

    Parameters
    ----------
    protocol
        YAML file of the stack to shoot.
    rig
        YAML file of the instrument.
    out
        Folder in which the run folder is created.
    specimen
        Id of the specimen; replaces the id in the protocol.
    on_event
        Called with each entry of the run's journal, in the thread of the run. The entry's
        ``event`` is a type of ``macrorail.events``. Exceptions that ``on_event`` raises are logged
        and collected in ``RunResult.callback_errors``; the run continues.

    Raises
    ------
    MacrorailError
        The run could not start, ended early, or is incomplete. If a run folder was created, the
        error's ``run_folder`` is the path of that folder.
    """
    observer = _Callback(on_event)
    with observer.naming_the_folder():
        outcome = start_run(Path(protocol), Path(rig), Path(out), observer, specimen)
        return _result(outcome, observer)


def resume(
    folder: str | Path,
    *,
    accept_scene: bool = False,
    on_event: Callable[[Entry], object] | None = None,
) -> RunResult:
    """Continue an interrupted run; finished slices are kept and not shot again.

    If the run is already complete, its result is returned at once.

    Parameters
    ----------
    folder
        The run folder.
    accept_scene
        Continue even if the specimen or the camera has moved.
    on_event
        Called with each entry of the run's journal, as in :func:`run`.

    Raises
    ------
    MacrorailError
        The run could not be resumed, ended early, or is incomplete; see :func:`run`.
    """
    observer = _Callback(on_event)
    with observer.naming_the_folder():
        outcome = resume_run(Path(folder), observer, accept_scene)
        if outcome is None:
            manifest = read_record(Path(folder)).manifest
            return RunResult(Path(folder), State.DONE, FinishReason.COMPLETED, manifest)
        return _result(outcome, observer)


def stack(
    frames: str | Path | Sequence[str | Path] | Sequence[Array],
    *,
    positions_um: Sequence[float] | None = None,
    reference: int | Literal["first", "middle"] = "first",
    quality: Quality = "best",
    method: str = "pyramid",
    align: str | None = None,
    equalise: bool = True,
    depth: bool = True,
    memory: str | None = None,
    on_progress: Callable[[str, int, int], object] | None = None,
) -> StackResult:
    """Align and blend photographs that exist already.

    Parameters
    ----------
    frames
        A folder of photographs, a run folder, a list of files, or a list of arrays
        (height, width, 3), uint8 or uint16, RGB, sRGB-encoded.
    positions_um
        Positions of the arrays along the axis in micrometres; the depth is then in micrometres.
        Not allowed with files.
    reference
        Frame whose geometry the result has: ``first``, ``middle``, or a frame's number from 1.
    quality
        ``best``, or ``fast`` for less time and memory.
    method
        ``pyramid``, ``depth-map`` or ``auto``.
    align
        Geometric transform to allow between frames: ``none``, ``shift``, ``similarity`` or
        ``affine``. When not given, a run folder's recorded alignment is used, and a similarity
        for other photographs.
    equalise
        Match the brightness and white balance of all frames to the reference frame.
    depth
        Also compute depth and confidence.
    memory
        Largest amount of memory to use, such as ``"2 GB"``.
    on_progress
        Called with the current step, the number of frames done, and the total number of frames.

    Raises
    ------
    ConfigError, StackError, AlignError
    """
    try:
        settings = StackSettings(
            quality=quality,
            reference=str(reference),
            motion=None if align is None else Motion(align),
            equalise=equalise,
            method=Method(method),
            memory_bytes=math.inf if memory is None else parse_size(memory),
            depth=depth,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    progress = on_progress or (lambda *_: None)
    if isinstance(frames, str | Path):
        return StackResult.of(stack_photographs([Path(frames)], settings, progress))
    paths = [Path(one) for one in frames if isinstance(one, str | Path)]
    arrays = [_bgr(one) for one in frames if not isinstance(one, str | Path)]
    if paths and arrays:
        raise ConfigError("give either files or arrays, not both in one list")
    if not arrays:
        if positions_um is not None:
            raise ConfigError("positions_um belongs to arrays; give files a 'slices' table")
        return StackResult.of(stack_photographs(paths, settings, progress))
    return StackResult.of(stack_arrays(arrays, settings, positions_um, progress))


class _Callback(RunObserver):
    """Passes events on to the user's function and catches its errors."""

    def __init__(self, on_event: Callable[[Entry], object] | None) -> None:
        self._on_event = on_event
        self._folder: Path | None = None
        self.errors: list[Exception] = []

    def on_folder(self, folder: Path) -> None:
        """See :class:`RunObserver`."""
        self._folder = folder

    def on_event(self, event: Entry) -> None:
        """See :class:`RunObserver`."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:
            self.errors.append(error)
            _LOG.exception("on_event failed; the run continues")

    @contextmanager
    def naming_the_folder(self) -> Iterator[None]:
        """Add the path of the run folder to an error that ends the run."""
        try:
            yield
        except MacrorailError as error:
            if self._folder is not None:
                error.run_folder = self._folder
                error.add_note(f"run folder: {self._folder}")
            raise


def _result(outcome: RunOutcome, observer: _Callback) -> RunResult:
    if outcome.error is not None:
        raise outcome.error
    return RunResult.of(outcome, tuple(observer.errors))


def _bgr(picture: Array) -> Array:
    if not (
        isinstance(picture, np.ndarray)
        and picture.ndim == 3
        and picture.shape[2] == 3
        and picture.dtype in (np.uint8, np.uint16)
    ):
        shape, kind = getattr(picture, "shape", ""), getattr(picture, "dtype", type(picture))
        raise ConfigError(
            f"a picture is (height, width, 3) uint8 or uint16 RGB; this one is {shape} {kind}"
        )
    # A copy, not a view: the kernels need contiguous rows.
    bgr: Array = picture[..., ::-1].copy()
    return bgr
