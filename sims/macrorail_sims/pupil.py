"""A lens model based on its pupils: perspective, scale and defocus.

Everything follows from two facts. By Newton's equation, the plane in focus is ``f / m`` in front of
the front focal point, and the sensor is ``f m`` behind the rear focal point. The pupils are images
of each other at a magnification ``P``. By the same equation, the entrance pupil is ``f / P`` behind
the front focal point, and the exit pupil is ``f P`` in front of the rear focal point.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lens:
    """A lens focused at one plane.

    Attributes
    ----------
    focal_length_um
        Focal length, > 0.
    magnification
        Magnification of the plane in focus, > 0.
    pupil_ratio
        Diameter of the exit pupil divided by that of the entrance pupil, > 0.
    f_number
        Focal length divided by the diameter of the entrance pupil (the marked f-number), > 0.
    """

    focal_length_um: float
    magnification: float
    pupil_ratio: float
    f_number: float

    @property
    def entrance_pupil_um(self) -> float:
        """Diameter of the entrance pupil, micrometres."""
        return self.focal_length_um / self.f_number

    @property
    def working_distance_um(self) -> float:
        """Distance from the entrance pupil to the plane in focus, micrometres."""
        return self.focal_length_um / self.magnification + self.focal_length_um / self.pupil_ratio

    @property
    def sensor_f_number(self) -> float:
        """Distance from the exit pupil to the sensor divided by the pupil's diameter; determines
        the diffraction pattern."""
        distance_um = self.focal_length_um * (self.magnification + self.pupil_ratio)
        return distance_um / (self.pupil_ratio * self.entrance_pupil_um)

    def scale(self, distance_um: float) -> float:
        """Return the size on the sensor divided by the size of the object, at ``distance_um`` (> 0)
        from the entrance pupil.

        The chief ray goes through the centres of both pupils, and all points of the ray are imaged
        at the same place. So the result is the magnification of the plane in focus, times the ratio
        of the distances.
        """
        return self.magnification * self.working_distance_um / distance_um

    def blur_disc_um(self, distance_um: float) -> float:
        """Return the diameter on the sensor of the geometric image of a point ``distance_um`` from
        the entrance pupil: the magnified section of its cone of light in the plane in focus."""
        beyond_um = abs(distance_um - self.working_distance_um)
        return self.magnification * self.entrance_pupil_um * beyond_um / distance_um

    def wavefront_error_um(self, distance_um: float) -> float:
        """Return the wavefront error at the edge of the pupil for a point ``distance_um`` away.

        The error is the difference of the sagittas of two spheres: one around the point, one around
        the focus.
        """
        curvature = abs(1 / distance_um - 1 / self.working_distance_um)
        return self.entrance_pupil_um**2 / 8 * curvature
