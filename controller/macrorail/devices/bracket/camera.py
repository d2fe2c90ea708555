"""A camera that shoots an exposure bracket for every picture and returns the merged picture.

The run uses it like any other camera: each slice has one frame. The exposures of the bracket stay
in ``exposures/``, with their checksums in the journal. If one of them fails, or the run is
interrupted between them, all are set aside and the slice is shot again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from macrorail.clock import Clock
from macrorail.config.bracket import format_ev, nearest_offered, shutter_s
from macrorail.devices.frame_settings import FramesAsked, FrameSettingsCheck
from macrorail.devices.interfaces import Camera, CameraReport, Exposure, OffersChoices
from macrorail.errors import CameraSettingRefused, FrameError, FrameMissing, StorageError
from macrorail.frame import Frame, verify_frame
from macrorail.quantity import format_duration, parse_duration
from macrorail.run_folder.events import BracketExposed, Event
from macrorail.workers import Worker

_MERGE_TIMEOUT_S = 300.0
_CLOSE_TIMEOUT_S = 5.0


@dataclass
class _Bracket:
    """The exposures of one picture: frames on disk, the pending exposure, and the merge request."""

    stem: Path
    frames: list[Frame] = field(default_factory=list)
    pending: Exposure | None = None
    damaged: FrameError | None = None
    merging: int | None = None


class BracketingCamera:
    """Wraps a camera so that it shoots brackets.

    Parameters
    ----------
    camera
        The camera that shoots the exposures.
    bracket_ev
        Exposure values relative to ``shutter``, in the order of shooting.
    shutter
        Shutter time in the protocol.
    folder
        Folder in which the exposures are stored.
    clock
        Clock whose stop interrupts the wait for a merge.
    log_event
        Function that writes events to the journal: ``BracketExposed`` for each exposure on disk.
    log
        Log file of the merging process; with ``None`` its log is discarded.
    """

    def __init__(
        self,
        camera: Camera,
        bracket_ev: Sequence[float],
        shutter: str,
        folder: Path,
        clock: Clock,
        log_event: Callable[[Event], Any],
        log: Path | None = None,
    ) -> None:
        self._camera = camera
        self._bracket_ev = tuple(bracket_ev)
        self._shutter = shutter
        self._folder = folder
        self._clock = clock
        self._log_event = log_event
        self._log = log
        self._shutters: tuple[str, ...] = ()
        self._pictures = 0
        self._bracket: _Bracket | None = None
        self._worker: Worker | None = None
        self._seen_sha256: set[str] = set()
        self._settings: dict[str, str] = {}
        self._set_by_hand = False

    def open(self) -> CameraReport:
        """See :class:`Camera`."""
        self._bracket = None
        report = self._camera.open()
        self._set_by_hand = report.by_hand
        return report

    def configure(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Set the settings and read them back; every shutter time of the bracket is tried once."""
        if settings.get("shutter") == self._shutter:
            shutters = [self._menu_time(ev) for ev in self._bracket_ev]
            for shutter in shutters:
                self._camera.configure({"shutter": shutter})
            self._shutters = tuple(shutters)
        self._settings = dict(settings)
        return self._camera.configure(settings)

    def expose(self, stem: Path) -> Exposure:
        """Shoot every exposure of the bracket; return when the last one is over."""
        if not self._shutters:
            raise CameraSettingRefused("a bracket was started before its shutter times were set")
        self._set_earlier_aside(stem)
        self._pictures += 1
        self._bracket = bracket = _Bracket(stem)
        started_s = self._clock.now()
        for ev, shutter in zip(self._bracket_ev, self._shutters, strict=True):
            self._collect_before(bracket)
            self._camera.configure({"shutter": shutter})
            name = f"{stem.name}_{format_ev(ev).replace(' ', '')}"
            bracket.pending = self._camera.expose(self._folder / name)
        return Exposure(stem, self._pictures, started_s, self._clock.now())

    def collect(self, exposure: Exposure) -> Frame:
        """Receive the last exposure and merge; see :class:`Camera`."""
        bracket = self._bracket
        if bracket is None or exposure.number != self._pictures:
            raise FrameMissing(
                f"picture {exposure.number} is not pending; drain the camera and repeat it"
            )
        self._collect_before(bracket)
        if bracket.damaged is not None:
            self._bracket = None
            raise bracket.damaged
        frame = self._merge(bracket)
        self._bracket = None
        return frame

    def drain(self) -> list[str]:
        """See :class:`Camera`; an unfinished bracket is discarded."""
        self._bracket = None
        return self._camera.drain()

    def close(self) -> None:
        """See :class:`Camera`."""
        self._bracket = None
        if self._worker is not None:
            self._worker.close(_CLOSE_TIMEOUT_S)
            self._worker = None
        self._camera.close()

    def _collect_before(self, bracket: _Bracket) -> None:
        """Receive the pending exposure; a damaged file is reported by :meth:`collect`."""
        if bracket.pending is None:
            return
        ev = self._bracket_ev[len(bracket.frames)]
        try:
            frame = self._camera.collect(bracket.pending)
            verify_frame(frame)
        except FrameError as error:
            # The run expects errors about files from collect(), not from expose().
            bracket.damaged, bracket.pending = bracket.damaged or error, None
            return
        bracket.pending = None
        if frame.sha256 in self._seen_sha256:
            raise FrameMissing(
                f"{frame.camera_name} is identical to an earlier exposure of this run; drain the "
                f"camera and repeat the bracket"
            )
        self._seen_sha256.add(frame.sha256)
        shutter = self._shutters[len(bracket.frames)]
        asked = FramesAsked({**self._settings, "shutter": shutter})
        FrameSettingsCheck(asked).check(frame, self._set_by_hand)
        bracket.frames.append(frame)
        self._log_event(
            BracketExposed(
                stem=bracket.stem.name,
                ev=ev,
                frame=f"{self._folder.name}/{frame.path.name}",
                sha256=frame.sha256,
                size_bytes=frame.size_bytes,
                camera_name=frame.camera_name,
            )
        )

    def _merge(self, bracket: _Bracket) -> Frame:
        if self._worker is None or not self._worker.alive:
            self._worker = Worker("macrorail.devices.bracket.merging", "merging", log=self._log)
            bracket.merging = None
        if bracket.merging is None:
            like = min(range(len(self._bracket_ev)), key=lambda i: abs(self._bracket_ev[i]))
            bracket.merging = self._worker.send(
                "merge",
                exposures=[str(frame.path) for frame in bracket.frames],
                like=like,
                stem=str(bracket.stem),
            )
        answer = self._worker.receive(bracket.merging, _MERGE_TIMEOUT_S, self._clock.check)
        names = "+".join(frame.camera_name for frame in bracket.frames)
        return Frame(Path(answer["path"]), answer["sha256"], answer["size_bytes"], names)

    def _menu_time(self, ev: float) -> str:
        """Return the shutter time for ``ev``: a menu entry of the camera, otherwise in seconds."""
        wanted_s = shutter_s(parse_duration(self._shutter), ev)
        offered: list[tuple[float, str]] = []
        if isinstance(self._camera, OffersChoices):
            texts = self._camera.choices().get("shutter", [])
            offered = [(parse_duration(text), text) for text in texts]
        longest_s = max((seconds for seconds, _ in offered), default=0.0)
        if not offered or wanted_s > longest_s * 1.2:
            return f"{wanted_s:.6g} s"  # set by hand, or exposed in bulb mode
        found = nearest_offered(wanted_s, offered)
        if found is None:
            raise CameraSettingRefused(
                f"the bracket's {format_ev(ev)} needs a shutter time of "
                f"{format_duration(wanted_s)}, and the camera has none near it (from "
                f"{format_duration(min(offered)[0])} to {format_duration(longest_s)}); choose "
                f"another shutter time or a smaller bracket"
            )
        return found

    def _set_earlier_aside(self, stem: Path) -> None:
        """Rename the exposures of an earlier attempt, so that nothing is overwritten."""
        try:
            self._folder.mkdir(exist_ok=True)
            for path in sorted(self._folder.glob(f"{stem.name}_*")):
                number = 1 + len(list(self._folder.glob(f"rejected-{path.stem}-*{path.suffix}")))
                path.rename(path.with_name(f"rejected-{path.stem}-{number}{path.suffix}"))
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be written: {error.strerror}") from error
