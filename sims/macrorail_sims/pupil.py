"""A lens model based on its pupils: perspective, scale and defocus.

Everything follows from two facts. Newton's equation puts the plane in focus ``f / m`` in front of
the front focal point and the sensor ``f m`` behind the rear one. The pupils are images of each
other at a magnification ``P``, so the same equation puts the entrance pupil ``f / P`` behind the
front focal point and the exit pupil ``f P`` in front of the rear one.
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
        Of the plane in focus, > 0.
    pupil_ratio
        Exit over entrance pupil diameter, > 0.
    f_number
        Focal length over entrance pupil diameter (what the stop is marked), > 0.
    """

    focal_length_um: float
    magnification: float
    pupil_ratio: float
    f_number: float

    @property
    def entrance_pupil_um(self) -> float:
        """Diameter of the entrance pupil."""
        return self.focal_length_um / self.f_number

    @property
    def working_distance_um(self) -> float:
        """From the entrance pupil to the plane in focus."""
        return self.focal_length_um / self.magnification + self.focal_length_um / self.pupil_ratio

    @property
    def sensor_f_number(self) -> float:
        """Distance from the exit pupil to the sensor over its diameter; it determines the
        diffraction pattern."""
        distance_um = self.focal_length_um * (self.magnification + self.pupil_ratio)
        return distance_um / (self.pupil_ratio * self.entrance_pupil_um)

    def scale(self, distance_um: float) -> float:
        """Size on the sensor over size of the object, at ``distance_um`` (> 0) from the entrance
        pupil.

        The chief ray goes through the centres of both pupils, and all points along it are imaged
        to the same place. So the scale is that of the plane in focus, times the ratio of the
        distances.
        """
        return self.magnification * self.working_distance_um / distance_um

    def blur_disc_um(self, distance_um: float) -> float:
        """Diameter on the sensor of the geometric image of a point ``distance_um`` from the
        entrance pupil: the section of its cone of light in the plane of focus, magnified."""
        beyond_um = abs(distance_um - self.working_distance_um)
        return self.magnification * self.entrance_pupil_um * beyond_um / distance_um

    def wavefront_error_um(self, distance_um: float) -> float:
        """Wavefront error at the edge of the pupil for a point ``distance_um`` from it: the
        difference of the sagittas of two spheres, that of the point and that of the focus."""
        curvature = abs(1 / distance_um - 1 / self.working_distance_um)
        return self.entrance_pupil_um**2 / 8 * curvature
