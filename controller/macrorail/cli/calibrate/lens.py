"""``macrorail calibrate lens``: drives a lens before a leaning ruling and writes its lens file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from macrorail.calibration.lens import LensCalibration, LensMeasurement
from macrorail.calibration.ruling import SharpestColumn, find_sharpest_column
from macrorail.cli.messages import message_console
from macrorail.cli.rigs import RIG_HELP
from macrorail.clock import Clock
from macrorail.config.lens_file import lens_file_text
from macrorail.config.rig import Rig, load_rig
from macrorail.devices.connect import connect
from macrorail.devices.interfaces import Camera, LiveView
from macrorail.devices.lens import FocusDrive
from macrorail.errors import CameraUnsupported, ConfigError, OperatorStop
from macrorail.quantity import format_length, parse_angle, parse_length
from macrorail.run_folder.journal import write_whole
from macrorail.session.signals import stopped_by_signals
from macrorail.stacking.images import read_picture

#: Where nothing else is said, of a body that takes steps and of one with sizes of drive.
_EVERY_STEPS, _AT_ONCE_STEPS = 200, 500
_EVERY_DRIVES, _AT_ONCE_DRIVES = 30, 60
_REST_S = 0.3
"""The motor comes to rest; bodies with sizes of drive do not tell when."""


def lens(
    rig: Annotated[Path, typer.Option(help=RIG_HELP.split(";")[0])],
    pitch: Annotated[str, typer.Option(help="from line to line on the target, such as 100um")],
    tilt: Annotated[str, typer.Option(help="of the target out of the plane in focus, 60deg")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the lens file to write")],
    name: Annotated[str, typer.Option(help="of the lens")] = "measured lens",
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="motor steps from one look to the next; 200, or 30 of a body's smallest drives",
        ),
    ] = None,
    last: Annotated[
        int | None, typer.Option(help="where to end; the end of target, picture or lens if not")
    ] = None,
    largest_drive: Annotated[
        int | None,
        typer.Option(
            min=1, help="longest drive at once, what takes half a second; 500 steps, or 60 drives"
        ),
    ] = None,
    aperture: Annotated[str | None, typer.Option(help="wide open measures best: f/2.8")] = None,
    shutter: Annotated[str | None, typer.Option(help="such as 1/60s")] = None,
    iso: Annotated[str | None, typer.Option(help="such as 100")] = None,
    live_view: Annotated[
        bool, typer.Option("--live-view", help="look through live view: spares the shutter")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="drive without asking; for scripts")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print what was found instead of the file's path")
    ] = False,
) -> None:
    """Measure which plane a lens focuses on after how many motor steps, its breathing and play.

    Put a plate with straight parallel lines (a ruling, millimetre paper) before the camera, lines
    running from left to right, one end nearer than the other, so that with the lens at its near
    stop the lines are sharp at one side of the picture. The rig's axis is not used: a rig with a
    rail or with another lens file will do. Of a body with drives of fixed sizes (a Canon EOS) a
    step is the smallest, and what the larger ones are worth is measured too.

    Examples:

      macrorail calibrate lens --rig lab.yaml --pitch 100um --tilt 60deg -o my-105mm.yaml

      macrorail calibrate lens --rig lab.yaml --pitch 1mm --tilt 45deg --last 2000 -o wide.yaml
    """
    console = message_console()
    pitch_um, tilt_deg = _parsed(pitch, parse_length, "pitch"), _parsed(tilt, parse_angle, "tilt")
    if not 0 < tilt_deg < 90:
        raise ConfigError(f"--tilt must lie between 0 deg and 90 deg, got {tilt_deg:g} deg")
    if out.exists():
        raise ConfigError(f"{out} exists already; name another file with -o, or remove it first")
    loaded = load_rig(rig)
    if not yes and not typer.confirm(
        "This drives the lens from stop to stop and takes some hundred pictures. Go on?", err=True
    ):
        raise OperatorStop("nothing has moved")
    wanted = {"aperture": aperture, "shutter": shutter, "iso": iso}
    settings = {key: value for key, value in wanted.items() if value is not None}
    with (
        connect(loaded) as instrument,
        stopped_by_signals(instrument.clock),
        tempfile.TemporaryDirectory(prefix="macrorail-calibrate-") as folder,
    ):
        camera = instrument.camera
        report = camera.open()
        if not isinstance(camera, FocusDrive) or "focus_drive" not in report.abilities:
            raise CameraUnsupported(f"{report.model} cannot drive a lens; connect one that can")
        camera.configure(settings)
        if live_view and not isinstance(camera, LiveView):
            raise CameraUnsupported(f"{report.model} shows no live view; leave --live-view out")
        look = _looking(camera, live_view, loaded, Path(folder), pitch_um, instrument.clock)
        every = every or (_EVERY_DRIVES if camera.drive_sizes else _EVERY_STEPS)
        largest_drive = largest_drive or (_AT_ONCE_DRIVES if camera.drive_sizes else _AT_ONCE_STEPS)
        found = LensCalibration(
            camera,
            look,
            tilt_deg,
            every,
            largest_drive,
            camera.drive_sizes,
            loaded.camera.image_width * loaded.camera.pixel_pitch_um / loaded.optics.magnification,
            lambda text: console.print(text, markup=False),
        ).measure(last)
    comment = (
        f"Measured by 'macrorail calibrate lens' with {report.model}: lines {pitch}, tilt {tilt}.\n"
        f"Play {found.slack_steps:.2f} steps, give or take {found.slack_spread_steps:.2f}; at the "
        f"near stop {found.px_per_um:.6f} pixels per um."
    )
    write_whole(out, lens_file_text(found.to_lens_file(name, largest_drive), comment))
    _tell(found, loaded, console)
    typer.echo(json.dumps(asdict(found)) if as_json else str(out))


def _looking(
    camera: Camera, live_view: bool, rig: Rig, folder: Path, pitch_um: float, clock: Clock
) -> Callable[[], SharpestColumn | None]:
    """How to look at the target: a picture is taken, read and thrown away."""
    expected_px_per_um = rig.optics.magnification / rig.camera.pixel_pitch_um
    taken = 0

    def take() -> Path:
        if live_view:
            assert isinstance(camera, LiveView)
            path = folder / f"{taken:04d}.jpg"
            camera.preview(path)
            return path
        return camera.collect(camera.expose(folder / f"{taken:04d}")).path

    def look() -> SharpestColumn | None:
        nonlocal taken
        taken += 1
        clock.sleep(_REST_S)
        green = read_picture(take())[..., 1].astype(float)
        for path in folder.iterdir():
            path.unlink()
        # A frame of live view is smaller than a photograph.
        size = green.shape[1] / rig.camera.image_width
        return find_sharpest_column(green, pitch_um, expected_px_per_um * size)

    return look


def _tell(found: LensMeasurement, rig: Rig, console: Console) -> None:
    console.print(
        f"{found.end_reason}; {len(found.steps)} rows to {format_length(found.plane_um[-1])}, "
        f"repeats "
        f"within {format_length(found.repeatability_um)}, play {found.slack_steps:.1f} steps, "
        f"picture at the far end {found.scale[-1]:.4f} times as large",
        markup=False,
    )
    measured = found.px_per_um * rig.camera.pixel_pitch_um
    console.print(
        f"magnification at the near stop {measured:.4f}; the rig says {rig.optics.magnification:g}",
        markup=False,
    )


def _parsed(text: str, parse: Callable[[object], float], key: str) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"--{key} {error}") from error
