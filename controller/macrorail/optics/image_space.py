"""Focus positions of a lens that focuses up to infinity, measured in image space.

In object space the depth of field of such a lens is asymmetric and may extend to infinity. In
image space it is symmetric, because blur depends only on the difference of reciprocal distances.
The focus axis of such a lens therefore uses

    position = f**2 (1 / nearest - 1 / distance)

This position is the distance between the image of the plane in focus and the image of the nearest
plane (Newton's equation, with distances from the entrance pupil). Measured in these positions, the
depth of field extends equally to both sides, infinity is an ordinary position, and overlap is
proven as for a rail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from macrorail.optics.dof import DepthOfField, effective_f_number, numerical_aperture

_ROUNDING = 1e-9


@dataclass(frozen=True)
class FarFocus:
    """A lens that focuses up to infinity.

    Attributes
    ----------
    focal_length_um
        Focal length, > 0.
    nearest_um
        Distance from the entrance pupil to the plane at position 0. Must be more than twice the
        focal length: a lens that focuses nearer, beyond life size, is a macro lens.
    """

    focal_length_um: float
    nearest_um: float

    @property
    def infinity_um(self) -> float:
        """Position at which infinity is in focus."""
        return self.focal_length_um**2 / self.nearest_um

    def position_um(self, distance_um: float) -> float:
        """Return the position that focuses a plane at this distance (may be ``math.inf``)."""
        return self.focal_length_um**2 * (1 / self.nearest_um - 1 / distance_um)

    def distance_um(self, position_um: float) -> float:
        """Return the distance of the plane in focus; ``math.inf`` at infinity and beyond."""
        vergence = 1 / self.nearest_um - position_um / self.focal_length_um**2
        return 1 / vergence if vergence > _ROUNDING / self.nearest_um else math.inf

    def magnification(self, position_um: float, pupil_ratio: float) -> float:
        """Return the magnification of the plane in focus; 0 at infinity.

        The distance of a plane at magnification ``m`` from the entrance pupil is ``f / m + f / P``.
        """
        distance_um = self.distance_um(position_um)
        if math.isinf(distance_um):
            return 0.0
        return self.focal_length_um / (distance_um - self.focal_length_um / pupil_ratio)

    def depth_of_field(
        self,
        position_um: float,
        f_number: float,
        pupil_ratio: float,
        coc_um: float,
        wavelength_um: float,
    ) -> DepthOfField:
        """Return the depth of field in image space, in micrometres of position.

        A defocus of ``d`` gives a blur disc of diameter ``d (1 + m/P) / N`` and a wavefront error
        of ``d / (8 N**2)`` at the edge of the pupil. The disc is at most ``c`` over a depth of
        ``2 c N / (1 + m/P)``. The wavefront error is at most a quarter wave over a depth of
        ``4 lambda N**2``. Both depths, multiplied by ``((1 + m/P) / m)**2``, give the object-space
        formulas of :mod:`macrorail.optics.dof`.

        Parameters
        ----------
        f_number
            Marked f-number: focal length divided by the diameter of the entrance pupil.
        """
        m = self.magnification(position_um, pupil_ratio)
        effective = effective_f_number(f_number, m, pupil_ratio)
        return DepthOfField(
            effective_f_number=effective,
            na=numerical_aperture(effective, m),
            geometric_um=2 * coc_um * f_number / (1 + m / pupil_ratio),
            wave_um=4 * wavelength_um * f_number**2,
        )
