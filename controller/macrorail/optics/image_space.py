"""Focus positions of a lens that focuses up to infinity, measured in image space.

In object space the depth of field of such a lens is asymmetric and may extend to infinity. In
image space it is symmetric, because blur depends only on the difference of reciprocal distances.
The focus axis of such a lens therefore uses

    position = f**2 (1 / nearest - 1 / distance)

the distance between the image of the plane in focus and the image of the nearest plane (Newton's
equation, with distances from the entrance pupil). In these positions the depth of field extends
equally to both sides, infinity is an ordinary position, and overlap is proven as on a rail.
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
        > 0.
    nearest_um
        Distance from the entrance pupil to the plane at position 0; more than twice the focal
        length (a lens that focuses nearer than that, beyond life size, is a macro lens).
    """

    focal_length_um: float
    nearest_um: float

    @property
    def infinity_um(self) -> float:
        """Position at which infinity is in focus."""
        return self.focal_length_um**2 / self.nearest_um

    def position_um(self, distance_um: float) -> float:
        """Position at which a plane at this distance (or ``math.inf``) is in focus."""
        return self.focal_length_um**2 * (1 / self.nearest_um - 1 / distance_um)

    def distance_um(self, position_um: float) -> float:
        """Distance of the plane in focus; ``math.inf`` at infinity and beyond."""
        vergence = 1 / self.nearest_um - position_um / self.focal_length_um**2
        return 1 / vergence if vergence > _ROUNDING / self.nearest_um else math.inf

    def magnification(self, position_um: float, pupil_ratio: float) -> float:
        """Magnification of the plane in focus; 0 at infinity.

        A plane at magnification ``m`` is ``f / m + f / P`` in front of the entrance pupil.
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
        """Depth of field in image space, in the units of positions.

        A point that is ``d`` out of focus gives a blur disc of diameter ``d (1 + m/P) / N`` and a
        wavefront error of ``d / (8 N**2)`` at the edge of the pupil. So the disc stays within
        ``c`` over a depth of ``2 c N / (1 + m/P)``, and the error within a quarter wave over
        ``4 lambda N**2``. Multiplied by ``((1 + m/P) / m)**2`` these are the object-space formulas
        of :mod:`macrorail.optics.dof`.

        Parameters
        ----------
        f_number
            As marked: focal length divided by the diameter of the entrance pupil.
        """
        m = self.magnification(position_um, pupil_ratio)
        effective = effective_f_number(f_number, m, pupil_ratio)
        return DepthOfField(
            effective_f_number=effective,
            na=numerical_aperture(effective, m),
            geometric_um=2 * coc_um * f_number / (1 + m / pupil_ratio),
            wave_um=4 * wavelength_um * f_number**2,
        )
