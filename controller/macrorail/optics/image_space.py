"""Focusing anywhere up to infinity: distances turned into positions on the image's side.

In front of a lens that focuses from arm's length to infinity depth of field is lopsided and may be
endless. Behind it, it is not: blur grows with the difference of reciprocal distances alone, the
same to either side. So such a lens's axis counts

    position = f**2 (1 / nearest - 1 / distance)

which is how far the image of that plane has come in from that of the nearest one (Newton's
equation, with distances from the entrance pupil). There every slice is sharp over a band as wide
before its middle as behind it, infinity is a place like any other, and overlap is proven as on a
rail.
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
        Distance of the plane at position 0 from the entrance pupil, more than twice the focal
        length (nearer than life size a lens is a macro lens).
    """

    focal_length_um: float
    nearest_um: float

    @property
    def infinity_um(self) -> float:
        """Position at which infinity is in focus."""
        return self.focal_length_um**2 / self.nearest_um

    def position_um(self, distance_um: float) -> float:
        """Position at which a plane is in focus; ``math.inf`` is a distance."""
        return self.focal_length_um**2 * (1 / self.nearest_um - 1 / distance_um)

    def distance_um(self, position_um: float) -> float:
        """Distance of the plane in focus; ``math.inf`` at infinity and past it."""
        vergence = 1 / self.nearest_um - position_um / self.focal_length_um**2
        return 1 / vergence if vergence > _ROUNDING / self.nearest_um else math.inf

    def magnification(self, position_um: float, pupil_ratio: float) -> float:
        """Of the plane in focus; 0 at infinity.

        A plane at magnification ``m`` is ``f / m + f / P`` before the entrance pupil.
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
        """Depth of field in positions, that is on the image's side.

        The blur disc of a point at another position is ``(1 + m/P) / N`` times their distance wide,
        the wavefront error at the pupil's edge that distance over ``8 N**2``; so the disc stays
        within ``c`` over ``2 c N / (1 + m/P)``, the error within a quarter wave over ``4 lambda
        N**2``. Multiplied by the square of ``(1 + m/P) / m`` these are the object-side formulas of
        :mod:`macrorail.optics.dof`.

        Parameters
        ----------
        f_number
            Marked, that is focal length over entrance pupil.
        """
        m = self.magnification(position_um, pupil_ratio)
        effective = effective_f_number(f_number, m, pupil_ratio)
        return DepthOfField(
            effective_f_number=effective,
            na=numerical_aperture(effective, m),
            geometric_um=2 * coc_um * f_number / (1 + m / pupil_ratio),
            wave_um=4 * wavelength_um * f_number**2,
        )
