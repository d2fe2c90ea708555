"""Depth of field from magnification and aperture: plain formulas, each with its source.

F-numbers are taken as written. A lens marked f/5.6 really stands at f/5.657 (full stops are
powers of the square root of 2); the marked number is up to 3 % off, mostly to the safe side.

The pupil ratio P is exit over entrance pupil diameter (some authors use its inverse); P = 1 for a
symmetrical lens.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_WAVELENGTH_UM = 0.55
"""Green, where a sensor and an eye see best; published tables use it too."""

PIXELS_PER_COC = 2.0
"""Circle of confusion in pixels when none is given: the finest detail that a sensor with a
colour filter mosaic resolves spans two pixels."""


@dataclass(frozen=True)
class DepthOfField:
    """Total depth of field (from its near to its far edge) by both criteria.

    Attributes
    ----------
    effective_f_number
        The f-number as the sensor sees it.
    na
        Numerical aperture on the specimen's side.
    geometric_um
        Depth in which the blur disc stays within the circle of confusion.
    wave_um
        Depth in which the wavefront error of defocus stays within a quarter wave.
    """

    effective_f_number: float
    na: float
    geometric_um: float
    wave_um: float

    @property
    def limiting_um(self) -> float:
        """The smaller of both, which plans use.

        Their sum, printed in some texts, allows steps that leave visible bands.
        """
        return min(self.geometric_um, self.wave_um)

    @property
    def criterion(self) -> str:
        """Which one limits: ``geometric`` or ``wave``."""
        return "geometric" if self.geometric_um <= self.wave_um else "wave"


def effective_f_number(f_number: float, magnification: float, pupil_ratio: float = 1.0) -> float:
    """Effective (working) f-number ``N (1 + m/P)``.

    Source: R. Kingslake, Optics in Photography (SPIE, 1992), chapter on image illumination; the
    Canon MP-E 65 manual prints the same for P = 1.
    """
    return f_number * (1 + magnification / pupil_ratio)


def numerical_aperture(effective_f_number: float, magnification: float) -> float:
    """Object-side numerical aperture ``m / (2 Neff)``, by the Abbe sine condition."""
    return magnification / (2 * effective_f_number)


def effective_f_number_of_na(na: float, magnification: float) -> float:
    """Effective f-number ``m / (2 NA)`` of an objective: the inverse of `numerical_aperture`."""
    return magnification / (2 * na)


def geometric_dof_um(
    effective_f_number: float, magnification: float, coc_um: float, index: float = 1.0
) -> float:
    """Geometric depth of field ``2 n Neff c / m**2``, micrometres.

    The blur disc on the sensor of a point ``z`` out of focus is ``z m**2 / Neff`` wide; it equals
    ``c`` at half this depth to either side. Source: the close-up limit of the usual formula
    ``2 N c (1 + m/P) / m**2``, as in S. F. Ray, Applied Photographic Optics (Focal Press, 2002).
    In a medium of index ``n`` the same cone of light is narrower by ``n`` (Snell).
    """
    return 2 * index * effective_f_number * coc_um / magnification**2


def wave_dof_um(
    na: float, wavelength_um: float = DEFAULT_WAVELENGTH_UM, index: float = 1.0
) -> float:
    """Wave-optical depth of field ``n lambda / NA**2``, micrometres.

    Rayleigh's quarter-wave criterion: defocus by half of this to either side bends the wavefront
    by a quarter wave at the pupil's edge. Source: M. Born, E. Wolf, Principles of Optics, 8.8.
    """
    return index * wavelength_um / na**2


def depth_of_field(
    effective_f_number: float,
    magnification: float,
    coc_um: float,
    wavelength_um: float = DEFAULT_WAVELENGTH_UM,
    index: float = 1.0,
) -> DepthOfField:
    """Depth of field by both criteria; every argument is above 0.

    Parameters
    ----------
    index
        Refractive index of the medium that is focused through; 1 for air.
    """
    na = numerical_aperture(effective_f_number, magnification)
    return DepthOfField(
        effective_f_number=effective_f_number,
        na=na,
        geometric_um=geometric_dof_um(effective_f_number, magnification, coc_um, index),
        wave_um=wave_dof_um(na, wavelength_um, index),
    )


def object_pixel_um(pixel_pitch_um: float, magnification: float) -> float:
    """What one pixel spans on the specimen, micrometres."""
    return pixel_pitch_um / magnification
