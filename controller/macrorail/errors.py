"""The exceptions that macrorail raises, grouped into families; each family has an exit code.

A message says what happened, the numbers with units, and what to do next. A subclass of
``MacrorailError`` reaching the command line is printed without a traceback; anything else is a
bug and exits with 70.
"""

from __future__ import annotations

from pathlib import Path


class MacrorailError(Exception):
    """Base of every failure that macrorail explains to the user."""

    exit_code = 70
    run_folder: Path | None = None
    """Folder of the run that this error ended; None when no run had started."""


class ConfigError(MacrorailError):
    """A YAML file, option or argument cannot be used; the message names ``file:line:column``."""

    exit_code = 2


class IdentityError(ConfigError):
    """A specimen id is missing, wrong, ambiguous or already used."""


class PlanError(MacrorailError):
    """The protocol is valid, but this rig cannot carry it out."""

    exit_code = 2


class DeviceError(MacrorailError):
    """Base of all failures of a camera, lens, rail or stage."""

    exit_code = 3


class ConnectError(DeviceError):
    """The device was not found, is in use elsewhere, or is not the device in the rig file."""


class DeviceTimeout(DeviceError):
    """A device did not answer in time."""


class DeviceLost(DeviceError):
    """The connection to a device was lost: unplugged, reset or powered off."""


class LimitError(DeviceError):
    """A move would leave the travel or pass ``closest_approach``; nothing has moved."""


class WireError(DeviceError):
    """The serial protocol was violated: wrong echo, unknown reply, no valid answer."""


class RailAlarm(DeviceError):
    """The rail's controller board stopped on its own.

    Parameters
    ----------
    code
        The stop reason or error name from ``firmware/codes.csv``.
    message
        What happened and what to do next.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PositionInDoubt(DeviceError):
    """The axis's step counter may be wrong; home the axis before its next move."""


class CameraError(DeviceError):
    """Base of all camera failures; the fault policies distinguish the subclasses."""


class CameraBusy(CameraError):
    """The camera is busy; drain its events and try again later."""


class CameraStorageFull(CameraError):
    """The memory card or the camera's buffer is full."""


class BatteryExhausted(CameraError):
    """The camera's battery is too low to continue."""


class CameraSettingRefused(CameraError):
    """The camera lacks a setting, does not offer the value, or reads back another value."""


class CameraUnsupported(CameraError):
    """The camera lacks a feature that this rig needs."""


class FocusLimit(CameraError):
    """The lens ran into its end stop."""


class NotInLiveView(CameraError):
    """The camera focuses its lens only in live view, and live view is off."""


class AutofocusFailed(CameraError):
    """Autofocus was on and failed, so the camera took no picture."""


class SettingsDiffer(CameraError):
    """A frame has other settings than the protocol requests; the controller can set them again."""


class SettingsByHandDiffer(CameraError):
    """A frame has other settings than the protocol requests; only the operator can set them."""


class FrameSizeDiffers(CameraError):
    """The size of the frames in pixels differs from the size in the rig file."""


class ShutterLags(CameraError):
    """The shutter opens later than the rig file gives, so the axis moves during the exposure."""


class OtherCamera(CameraError):
    """The connected camera is not the camera body with which the run began."""


class FrameMissing(CameraError):
    """The file of an exposure did not arrive, or a different file arrived."""


class WorkerCrashed(CameraError):
    """A worker process crashed or hung and was killed; the device must be reopened."""


class FrameError(MacrorailError):
    """A frame on disk is truncated, altered or not an image."""

    exit_code = 3


class StorageError(FrameError):
    """A frame cannot be written: the disk is full, read-only or no longer connected."""


class SceneMoved(MacrorailError):
    """The specimen, light or camera has moved since the run was interrupted."""

    exit_code = 3


class OverlapError(MacrorailError):
    """Neighbouring slices do not overlap enough.

    Parameters
    ----------
    gap_um
        Distance between two neighbouring slices in micrometres.
    dof_um
        Depth of field between these two slices, in micrometres.
    message
        What happened and what to do next.
    """

    exit_code = 4

    def __init__(self, gap_um: float, dof_um: float, message: str) -> None:
        super().__init__(message)
        self.gap_um = gap_um
        self.dof_um = dof_um


class OperatorStop(MacrorailError):
    """The operator stopped the run with Ctrl-C, SIGTERM or the dashboard page."""

    exit_code = 5


class PausedTooLong(MacrorailError):
    """A pause lasted longer than ``pause_at_most``."""

    exit_code = 3


class CalibrationError(MacrorailError):
    """A calibration could not be measured from the pictures taken."""

    exit_code = 3


class NotVerified(MacrorailError):
    """All slices are shot and their positions overlap, but the images did not confirm this."""

    exit_code = 7


class StackError(MacrorailError):
    """Alignment or blending cannot produce a picture."""

    exit_code = 6


class AlignError(StackError):
    """A frame cannot be aligned to its neighbours; the message names the frame."""


class JournalError(MacrorailError):
    """A run folder is corrupt, or cannot be read or written; the message names file and line."""

    exit_code = 2


BY_NAME: dict[str, type[MacrorailError]] = {}


def _register(cls: type[MacrorailError]) -> None:
    BY_NAME[cls.__name__] = cls
    for sub in cls.__subclasses__():
        _register(sub)


_register(MacrorailError)
