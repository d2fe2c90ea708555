"""Magnification, depth of field and image scale at each position of the focus axis."""

from __future__ import annotations

from dataclasses import dataclass, replace

from macrorail.config.rig import AxisSection, Rig
from macrorail.optics.dof import (
    PIXELS_PER_COC,
    DepthOfField,
    depth_of_field,
    effective_f_number,
    effective_f_number_of_na,
)
from macrorail.optics.image_space import FarFocus


@dataclass(frozen=True)
class AxisOptics:
    """The optics at each position of the axis; focusing changes the magnification of a lens.

    Attributes
    ----------
    axis
        The rig's axis section, which gives the magnification at a position.
    magnification, pupil_ratio
        Magnification and pupil ratio in the rig's optics section.
    f_number
        F-number as set on the camera or lens; ``None`` for an objective with an ``na``.
    f_number_is
        Whether the camera shows the ``marked`` or the ``effective`` f-number.
    na
        Numerical aperture of an objective, or ``None``.
    coc_um, wavelength_um
        Circle of confusion on the sensor, and wavelength of the light.
    immersion
        Refractive index between objective and specimen, 1 for air.
    focal_length_um
        Focal length of the lens, from which the distance of the entrance pupil is computed;
        ``None`` when not known.
    """

    axis: AxisSection
    magnification: float
    pupil_ratio: float
    f_number: float | None
    f_number_is: str
    na: float | None
    coc_um: float
    wavelength_um: float
    immersion: float = 1.0
    focal_length_um: float | None = None

    def magnification_at(self, position_um: float) -> float:
        """Return the magnification with the axis at ``position_um``."""
        if self.axis.far_focus is not None:
            return self.axis.far_focus.magnification(position_um, self.pupil_ratio)
        return self.axis.magnification_at(position_um, self.magnification)

    def at(self, position_um: float) -> DepthOfField:
        """Return the depth of field with the axis at ``position_um``, in micrometres of travel."""
        m = self.magnification_at(position_um)
        if self.axis.far_focus is not None:
            return self._far(self.axis.far_focus, position_um, m)
        if self.f_number is None:
            assert self.na is not None
            effective = effective_f_number_of_na(self.na, m)
        elif self.f_number_is == "effective":
            effective = self.f_number
        else:
            effective = effective_f_number(self.f_number, m, self.pupil_ratio)
        return depth_of_field(effective, m, self.coc_um, self.wavelength_um, self.immersion)

    def with_coc(self, coc_um: float) -> AxisOptics:
        """Return the same optics with another circle of confusion."""
        return replace(self, coc_um=coc_um)

    def scale(self, position_um: float, reference_um: float) -> float | None:
        """Return the factor by which the frame at a position must be resized to match a reference.

        The factor applies to the plane in focus at ``position_um``. The distance from this plane to
        the entrance pupil is ``D = f/m + f/P`` (Gaussian optics). In the reference frame, a plane
        at a distance ``z`` beyond the plane in focus appears smaller by the factor ``D / (D + z)``.
        The result is therefore ``m_r D / (m (D + z))``. On a rail ``m`` is constant and only the
        perspective changes.

        Returns
        -------
        float or None
            The factor; ``None`` when the focal length is not known.
        """
        m, m_reference = self.magnification_at(position_um), self.magnification_at(reference_um)
        if self.axis.far_focus is not None:
            # The image is f (1 + m/P) behind the exit pupil, and its size is proportional to that
            # distance.
            return (1 + m_reference / self.pupil_ratio) / (1 + m / self.pupil_ratio)
        if self.focal_length_um is None:
            return None
        pupil_um = self.focal_length_um * (1 / m_reference + 1 / self.pupil_ratio)
        beyond_um = pupil_um + position_um - reference_um
        return m_reference * pupil_um / (m * beyond_um) if beyond_um > 0 else None

    def _far(self, far: FarFocus, position_um: float, m: float) -> DepthOfField:
        assert self.f_number is not None, "a lens with a focal length has an aperture"
        marked = self.f_number
        if self.f_number_is == "effective":
            marked /= 1 + m / self.pupil_ratio
        return far.depth_of_field(
            position_um, marked, self.pupil_ratio, self.coc_um, self.wavelength_um
        )


def axis_optics(
    rig: Rig, f_number: float | None, coc_um: float | None, wavelength_um: float
) -> AxisOptics:
    """Return the optics of a rig at an f-number.

    Parameters
    ----------
    f_number
        F-number as set; ``None`` for an objective, whose ``na`` is in the rig.
    coc_um
        Circle of confusion; ``None`` for two pixels of the camera.
    """
    return AxisOptics(
        axis=rig.axis,
        magnification=rig.optics.magnification,
        pupil_ratio=rig.optics.pupil_ratio,
        f_number=f_number,
        f_number_is=rig.optics.f_number_is,
        na=rig.optics.na,
        coc_um=PIXELS_PER_COC * rig.camera.pixel_pitch_um if coc_um is None else coc_um,
        wavelength_um=wavelength_um,
        immersion=rig.optics.immersion,
        focal_length_um=rig.optics.focal_length_um,
    )
