"""The functions that ``import macrorail`` offers."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, SupportsFloat, get_args

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
from macrorail.run_folder.view import RunView
from macrorail.running.commands import Commands
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
    """Home the axis, take pictures along the axis, and return the range in which the specimen is.

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
        the number of pictures taken as ``looks``.

    Raises
    ------
    ConfigError, PlanError, DeviceError, OperatorStop
    """
    wanted, loaded = load_protocol(Path(protocol)), load_rig(Path(rig))
    return find_range(wanted, loaded, on_event or (lambda _: None))


def check(rig: str | Path) -> CheckReport:
    """Check an instrument and return a report: versions, home position, and one test frame.

    First the axis is homed, away from the specimen. Then the stage is homed.

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
        and collected in ``RunResult.callback_errors``; the run continues. ``SystemExit`` and
        ``KeyboardInterrupt`` stop the run as Ctrl-C does and are raised when it has ended.

    Raises
    ------
    MacrorailError
        The run could not start, ended early, or is incomplete. If a run folder was created, the
        error's ``run_folder`` is the path of that folder.
    """
    if specimen is not None and not isinstance(specimen, str):
        raise TypeError(f"specimen is text, such as 'beetle-7'; got {specimen!r}")
    observer = _Callback(on_event)
    with observer.naming_the_folder():
        outcome = start_run(Path(protocol), Path(rig), Path(out).absolute(), observer, specimen)
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
    observer, folder = _Callback(on_event), Path(folder).absolute()
    with observer.naming_the_folder():
        outcome = resume_run(folder, observer, accept_scene)
        if outcome is None:
            manifest = read_record(folder).manifest
            return RunResult(folder, State.DONE, FinishReason.COMPLETED, manifest)
        return _result(outcome, observer)


def stack(
    frames: str | Path | Iterable[str | Path] | Iterable[Array],
    *,
    positions_um: Iterable[float] | None = None,
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
        Frame to which the others are aligned: ``first``, ``middle``, or a frame's number from 1.
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
    _check_choice("quality", quality, get_args(Quality))
    _check_choice("method", method, [one.value for one in Method])
    if align is not None:
        _check_choice("align", align, [one.value for one in Motion])
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
        raise ConfigError(f"memory {error}") from error
    progress = on_progress or (lambda *_: None)
    if isinstance(frames, str | Path):
        return StackResult.of(stack_photographs([Path(frames)], settings, progress))
    given = list(frames)
    if not given:
        raise ConfigError("the list of frames is empty; give files or arrays")
    paths = [Path(one) for one in given if isinstance(one, str | Path)]
    arrays = [_bgr(one) for one in given if not isinstance(one, str | Path)]
    if paths and arrays:
        raise ConfigError("give either files or arrays, not both in one list")
    if not arrays:
        if positions_um is not None:
            raise ConfigError("positions_um belongs to arrays; give files a 'slices' table")
        return StackResult.of(stack_photographs(paths, settings, progress))
    z_um = None if positions_um is None else _positions(positions_um)
    return StackResult.of(stack_arrays(arrays, settings, z_um, progress))


class _Callback(RunObserver):
    """Passes events on to the user's function and catches the errors of that function."""

    def __init__(self, on_event: Callable[[Entry], object] | None) -> None:
        if on_event is not None and not callable(on_event):
            raise TypeError(f"on_event is a function that takes an entry; got {on_event!r}")
        self._on_event = on_event
        self._folder: Path | None = None
        self._commands: Commands | None = None
        self._ended_by: BaseException | None = None
        self.errors: list[Exception] = []

    def on_folder(self, folder: Path) -> None:
        """See :class:`RunObserver`."""
        self._folder = folder

    def on_event(self, event: Entry) -> None:
        """See :class:`RunObserver`."""
        if self._on_event is None or self._ended_by is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:
            self.errors.append(error)
            _LOG.exception("on_event failed; the run continues")
        except BaseException as error:
            if self._commands is None:
                raise
            self._ended_by = error
            self._commands.abort(f"on_event, which raised {type(error).__name__}")

    @contextmanager
    def watching(self, view: RunView, commands: Commands) -> Iterator[None]:
        """See :class:`RunObserver`."""
        del view
        self._commands = commands
        yield

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

    def raise_what_ended_it(self) -> None:
        """Raise the exception with which the user's function stopped the run; called at the end."""
        if self._ended_by is not None:
            self._ended_by.add_note(f"run folder: {self._folder}")
            raise self._ended_by


def _result(outcome: RunOutcome, observer: _Callback) -> RunResult:
    observer.raise_what_ended_it()
    if outcome.error is not None:
        raise outcome.error
    return RunResult.of(outcome, tuple(observer.errors))


def _check_choice(name: str, given: object, choices: Sequence[str]) -> None:
    if given not in choices:
        raise ConfigError(
            f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}, got {given!r}"
        )


def _positions(given: Iterable[float]) -> list[float]:
    positions = list(given)
    for number, position in enumerate(positions, start=1):
        if not isinstance(position, SupportsFloat) or not math.isfinite(position):
            raise ConfigError(
                f"positions_um: position {number} must be a number of micrometres, got {position!r}"
            )
    return [float(position) for position in positions]


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
    # A copy, not a view, because the kernels need contiguous rows in this computer's byte order.
    if picture.dtype == np.uint8:
        return np.array(picture[..., ::-1], dtype=np.uint8, order="C")
    return np.array(picture[..., ::-1], dtype=np.uint16, order="C")
