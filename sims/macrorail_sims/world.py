"""The simulated world: a clock, a scene, and the true position of the lens at any time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from macrorail.clock import Clock
from macrorail.config.document import Section, key_error
from macrorail.config.rig import BenchSection, Rig
from macrorail.quantity import Angle, Duration, Length
from macrorail_sims.bodies.base import CameraBody
from macrorail_sims.bodies.exposure import LIVE_VIEW, SimulatedExposure
from macrorail_sims.bodies.lens import SimulatedFarLens, SimulatedLens
from macrorail_sims.bodies.makers import Maker, make_body
from macrorail_sims.carriage import Carriage
from macrorail_sims.landscape import Landscape, LandscapeOptions
from macrorail_sims.live_view import LiveViewScene
from macrorail_sims.ruling import tilted_ruling
from macrorail_sims.scene import Scene, SceneOptions
from macrorail_sims.tray import Tray, TraySpecimen

#: Number of carriage positions sampled during an exposure: enough for motion blur, fast to render.
_SAMPLES = 5
#: Focal lengths of the macro lens on a rail, and of the camera's lens if it is the focus axis.
_RAIL_LENS_UM, _OWN_LENS_UM = 65_000.0, 105_000.0
#: F-number of a lens whose aperture the body cannot read.
_UNREAD_F_NUMBER = 8.0


class SimulatedSpecimenSection(Section):
    """Positions of the simulated specimen along the axis.

    Attributes
    ----------
    near_um
        Position of the specimen's nearest point. Example: ``20 mm``
    far_um
        Position of the ground behind the specimen. Example: ``23 mm``
    """

    near_um: Length = Field(alias="near")
    far_um: Length = Field(alias="far")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.near_um < self.far_um:
            raise key_error("far", "must be greater than 'near': positions grow away from the lens")
        return self


class VibrationSection(Section):
    """Vibration of the instrument after a move: a damped oscillation across the optical axis.

    Attributes
    ----------
    amplitude_um
        Amplitude in the specimen's plane when the axis comes to rest.
    decay_s
        Time in which the amplitude falls to 1/e.
    frequency_hz
        Frequency of the vibration in hertz.
    """

    amplitude_um: Length = Field(alias="amplitude", default=12.0, ge=0)
    decay_s: Duration = Field(alias="decay", default=0.08, gt=0)
    frequency_hz: float = Field(alias="frequency", default=22.0, gt=0)

    def offset_um(self, since_rest_s: float) -> float:
        """Return the displacement in micrometres at a time after the axis came to rest."""
        swing = math.sin(2 * math.pi * self.frequency_hz * since_rest_s)
        return self.amplitude_um * math.exp(-since_rest_s / self.decay_s) * swing


class TargetSection(Section):
    """A tilted plate with lines in place of the beetle, for calibrating a lens.

    Attributes
    ----------
    pitch_um
        Distance from line to line. Example: ``60 um``
    tilt_deg
        Angle between the plate and the plane in focus. Example: ``72 deg``
    """

    pitch_um: Length = Field(alias="pitch", gt=0)
    tilt_deg: Angle = Field(alias="tilt", gt=0, lt=90)


class WorldSection(BenchSection):
    """Keys of a bench section that describe the simulated world.

    Attributes
    ----------
    specimen
        Positions of the specimen along the axis. Example: ``{near: 20 mm, far: 23 mm}``
    target
        A tilted plate in place of the beetle. Example: ``{pitch: 60 um, tilt: 72 deg}``
    landscape
        ``yes`` for ground from ``near`` to the horizon in place of the beetle, for a lens that
        focuses up to infinity.
    vibration
        Vibration of the instrument after a move. Example: ``{amplitude: 12 um, decay: 80 ms}``
    body
        Maker of the simulated camera.
    tray
        Specimens that a stage brings under the lens; each looks different. Where none of them is
        under the lens, ``specimen`` is seen. Example: ``[{x: 10 mm, y: 10 mm, near: 20 mm, far:
        21.5 mm}]``
    set_by_hand
        Settings made by hand on the simulated camera. A camera on the rail's cable release needs
        them, because programs cannot set such a camera. Example: ``{aperture: f/5.6, shutter: 1/10,
        iso: "100"}``
    """

    specimen: SimulatedSpecimenSection
    target: TargetSection | None = None
    landscape: bool = False
    vibration: VibrationSection = VibrationSection()
    body: Maker = "nikon"
    tray: tuple[TraySpecimen, ...] = ()
    set_by_hand: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """The simulated surroundings of the camera.

    Attributes
    ----------
    scene
        Specimen and optics.
    clock
        Clock of the simulated world.
    vibration
        Vibration after each move of the carriage.
    carriage
        Carriage that moves the camera; ``None`` when the camera is fixed and its lens focuses.
    diary
        File with a line for each exposure: number of the exposure, true position of the plane in
        focus and, with a tray, number of the specimen from 0.
    tray
        A tray with several specimens; ``None`` for a single one.
    """

    scene: Scene | Landscape
    clock: Clock
    vibration: VibrationSection
    carriage: Carriage | None = None
    diary: Path | None = None
    tray: Tray | None = None

    @cached_property
    def _screens(self) -> dict[str, LiveViewScene]:
        """The live-view scene of the specimen that was shown last."""
        return {}

    def render(self, light: SimulatedExposure) -> bytes:
        """Render an exposure and return its JPEG."""
        shutter_s = light.end_s - light.start_s
        times_s = [light.start_s + shutter_s * look / (_SAMPLES - 1) for look in range(_SAMPLES)]
        breathing = 1.0
        if light.lens is not None:
            position_um, offsets_um = light.lens.plane_um, [(0.0, 0.0, 0.0)]
            breathing = light.lens.scale
        else:
            assert self.carriage is not None, "a camera without a lens of its own needs a carriage"
            position_um = self.carriage.position_um(times_s[_SAMPLES // 2])
            offsets_um = [self._offset_um(at_s, position_um) for at_s in times_s]
        scene, specimen = self.scene, ""
        if self.tray is not None:
            number, under_lens = self.tray.scene()
            scene, specimen = under_lens or scene, str(number)
        if self.diary is not None and light.number != LIVE_VIEW:
            with self.diary.open("a") as diary:
                print(light.number, position_um, *specimen.split(), file=diary)
        if light.number == LIVE_VIEW:
            if specimen not in self._screens:
                self._screens.clear()
                self._screens[specimen] = LiveViewScene(scene)
            return self._screens[specimen].render(
                position_um,
                f_number=light.f_number or _UNREAD_F_NUMBER,
                iso=light.iso,
                shutter_s=shutter_s,
                offsets_um=offsets_um,
                breathing=breathing,
                quality=light.jpeg_quality,
            )
        return scene.render(
            position_um,
            f_number=light.f_number or _UNREAD_F_NUMBER,
            iso=light.iso,
            shutter_s=shutter_s,
            exposure_number=light.number,
            offsets_um=offsets_um,
            breathing=breathing,
            quality=light.jpeg_quality,
        )

    def _offset_um(self, at_s: float, position_um: float) -> tuple[float, float, float]:
        assert self.carriage is not None
        sway_um = self.vibration.offset_um(at_s - self.carriage.at_rest_since_s(at_s))
        along_um = self.carriage.position_um(at_s) - position_um
        return sway_um, 0.6 * sway_um, along_um


def build_scene(rig: Rig, world: WorldSection) -> Scene | Landscape:
    """Return the scene for the camera and optics of a rig."""
    if world.landscape:
        return Landscape(
            LandscapeOptions(
                seed=world.seed,
                width_px=rig.camera.image_width,
                height_px=rig.camera.image_height,
                pixel_pitch_um=rig.camera.pixel_pitch_um,
                focal_length_um=SimulatedFarLens.focal_length_um,
                pupil_ratio=rig.optics.pupil_ratio,
                ground_from_um=world.specimen.near_um,
            )
        )
    scene = Scene(
        SceneOptions(
            seed=world.seed,
            width_px=rig.camera.image_width,
            height_px=rig.camera.image_height,
            pixel_pitch_um=rig.camera.pixel_pitch_um,
            magnification=rig.optics.magnification,
            pupil_ratio=rig.optics.pupil_ratio,
            focal_length_um=_OWN_LENS_UM if rig.axis.shares_camera else _RAIL_LENS_UM,
            specimen_near_um=world.specimen.near_um,
            specimen_far_um=world.specimen.far_um,
        )
    )
    if world.target is None:
        return scene
    plate = tilted_ruling(
        scene.raster_shape,
        scene.object_pixel_um,
        world.target.pitch_um,
        world.target.tilt_deg,
        world.specimen.near_um,
        world.specimen.far_um,
    )
    return Scene(scene.options, plate)


def build_tray_scene(rig: Rig, world: WorldSection, number: int) -> Scene:
    """Return the scene of one specimen of the tray; ``number`` counts from 0."""
    lying = world.tray[number]
    one = world.model_copy(
        update={
            "seed": world.seed + number,
            "specimen": SimulatedSpecimenSection(near=lying.near_um, far=lying.far_um),
        }
    )
    scene = build_scene(rig, one)
    assert isinstance(scene, Scene), "a tray holds specimens, not landscapes"
    return scene


def write_truth(rig: Rig, position_um: float, f_number: float, folder: Path) -> None:
    """Write the ideal result of a stack shot with ``rig``, in the geometry of the frame at
    ``position_um``: ``truth.png`` and ``truth_depth.npy`` (see :meth:`Scene.write_truth`).

    Parameters
    ----------
    rig
        The rig; its bench section is a :class:`WorldSection`.
    """
    assert isinstance(rig.bench, WorldSection), "only a simulated world knows the truth"
    scene = build_scene(rig, rig.bench)
    breathing = rig.axis.magnification_at(position_um, 1.0)
    scene.write_truth(folder, position_um, f_number, breathing)


def build_body(rig: Rig, options: WorldSection, world: World) -> CameraBody:
    """Return the simulated camera body of a rig, with its lens and the bench section's settings."""
    return make_body(options.body, world, build_lens(rig), options.set_by_hand)


def build_lens(rig: Rig) -> SimulatedLens | None:
    """Return the focusing lens of the camera; ``None`` on a rail."""
    if not rig.axis.shares_camera:
        return None
    landscape = isinstance(rig.bench, WorldSection) and rig.bench.landscape
    return SimulatedFarLens() if landscape else SimulatedLens()
