"""Every failure macrorail can explain, by family; each family has its exit code.

A message says what happened, the numbers with units, and what to do next. A subclass of
``MacrorailError`` reaching the command line is printed without a traceback; anything else is a
bug and exits with 70.
"""

from __future__ import annotations


class MacrorailError(Exception):
    """Base of every failure that macrorail explains to its user."""

    exit_code = 70


class ConfigError(MacrorailError):
    """A YAML file, option or argument that cannot be used; names ``file:line:column``."""

    exit_code = 2


class IdentityError(ConfigError):
    """A specimen's id that is missing, wrong, ambiguous or taken."""


class PlanError(MacrorailError):
    """A protocol that is well formed but cannot be carried out on this rig."""

    exit_code = 2


class DeviceError(MacrorailError):
    """Base of everything a camera, lens or rail can do to a run."""

    exit_code = 3


class ConnectError(DeviceError):
    """The device was not found, is claimed by something else, or is not what the rig names."""


class DeviceTimeout(DeviceError):
    """A device did not answer within the time that this request allows."""


class DeviceLost(DeviceError):
    """The link to a device that had been open is gone: unplugged, reset or powered off."""


class LimitError(DeviceError):
    """A move that would leave the travel or pass ``closest_approach``; nothing has moved."""


class WireError(DeviceError):
    """The serial conversation broke its own rules: wrong echo, unknown reply, no valid answer."""


class RailAlarm(DeviceError):
    """The rail's board stopped by itself.

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
    """The axis may not be where its counter says; it must be homed before it moves again."""


class CameraError(DeviceError):
    """Base of the camera's own failures; subclasses are the classes that policies know."""


class CameraBusy(CameraError):
    """The camera refuses for now; drain its events and back off."""


class CameraStorageFull(CameraError):
    """No room left on card or in camera memory."""


class BatteryExhausted(CameraError):
    """The camera's battery is too low to go on."""


class CameraSettingRefused(CameraError):
    """A setting that the camera does not have, does not offer, or did not keep when read back."""


class CameraUnsupported(CameraError):
    """The camera lacks an ability that this rig needs."""


class FocusLimit(CameraError):
    """The lens ran into its end stop."""


class NotInLiveView(CameraError):
    """The camera drives its lens only in live view, and live view is off."""


class AutofocusFailed(CameraError):
    """The camera tried to focus by itself and refused the exposure."""


class FrameMissing(CameraError):
    """An exposure's file did not arrive, or another file came in its place."""


class WorkerCrashed(CameraError):
    """A worker process died or hung and was ended; the device must be opened anew."""


class FrameError(MacrorailError):
    """A frame on disk that is truncated, altered or not an image."""

    exit_code = 3


class StorageError(FrameError):
    """The disk cannot take a frame: full, read-only, or gone."""


class SceneMoved(MacrorailError):
    """Specimen, light or camera are not where they were when a run was interrupted."""

    exit_code = 3


class OverlapError(MacrorailError):
    """Neighbouring slices do not overlap as they must.

    Parameters
    ----------
    gap_um
        Distance between the neighbouring slices in micrometres.
    dof_um
        Depth of field there, in micrometres.
    message
        What happened and what to do next.
    """

    exit_code = 4

    def __init__(self, gap_um: float, dof_um: float, message: str) -> None:
        super().__init__(message)
        self.gap_um = gap_um
        self.dof_um = dof_um


class OperatorStop(MacrorailError):
    """The operator asked the run to stop (Ctrl-C, SIGTERM, the page)."""

    exit_code = 5


class PausedTooLong(MacrorailError):
    """Nobody came: what made a run pause lasted longer than a pause may."""

    exit_code = 3


class CalibrationError(MacrorailError):
    """What was to be measured cannot be, with what the pictures show."""

    exit_code = 3


class StackError(MacrorailError):
    """Align/blend cannot give a picture."""

    exit_code = 6


class AlignError(StackError):
    """A frame that cannot be aligned to its neighbours; names the frame."""


class JournalError(MacrorailError):
    """A run folder that cannot be written, read or trusted; names the file and line."""

    exit_code = 2


BY_NAME: dict[str, type[MacrorailError]] = {}


def _register(cls: type[MacrorailError]) -> None:
    BY_NAME[cls.__name__] = cls
    for sub in cls.__subclasses__():
        _register(sub)


_register(MacrorailError)
