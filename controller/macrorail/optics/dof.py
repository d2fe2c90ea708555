"""Depth of field from magnification and aperture, each formula with its source.

F-numbers are used as written. The exact value of the stop marked f/5.6 is f/5.657 (full stops are
powers of the square root of 2); marked numbers are up to 3 % off, mostly on the safe side.

The pupil ratio P is the diameter of the exit pupil divided by that of the entrance pupil (some
authors use the inverse); P = 1 for a symmetrical lens.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_WAVELENGTH_UM = 0.55
"""Green light, to which sensors and eyes are most sensitive; published tables use it too."""

PIXELS_PER_COC = 2.0
"""Default circle of confusion, in pixels: the finest detail that a sensor with a Bayer colour
filter resolves spans two pixels."""


@dataclass(frozen=True)
class DepthOfField:
    """Total depth of field, from near edge to far edge, by the geometric and the wave criterion.

    Attributes
    ----------
    effective_f_number
        Working f-number at the sensor, including the effect of magnification.
    na
        Numerical aperture on the specimen side.
    geometric_um
        Depth over which the blur disc stays within the circle of confusion.
    wave_um
        Depth over which the wavefront error from defocus stays within a quarter wave.
    """

    effective_f_number: float
    na: float
    geometric_um: float
    wave_um: float

    @property
    def limiting_um(self) -> float:
        """The smaller of the two depths in micrometres; plans use this depth.

        Some texts use the sum of both depths; steps planned from the sum leave visible bands.
        """
        return min(self.geometric_um, self.wave_um)

    @property
    def criterion(self) -> str:
        """The criterion that gives the smaller depth: ``geometric`` or ``wave``."""
        return "geometric" if self.geometric_um <= self.wave_um else "wave"


def effective_f_number(f_number: float, magnification: float, pupil_ratio: float = 1.0) -> float:
    """Return the effective (working) f-number ``N (1 + m/P)``.

    Source: R. Kingslake, Optics in Photography (SPIE, 1992), chapter on image illumination; the
    Canon MP-E 65 manual prints the same for P = 1.
    """
    return f_number * (1 + magnification / pupil_ratio)


def numerical_aperture(effective_f_number: float, magnification: float) -> float:
    """Return the object-side numerical aperture ``m / (2 Neff)``, by the Abbe sine condition."""
    return magnification / (2 * effective_f_number)


def effective_f_number_of_na(na: float, magnification: float) -> float:
    """Return the effective f-number ``m / (2 NA)`` of an objective."""
    return magnification / (2 * na)


def geometric_dof_um(
    effective_f_number: float, magnification: float, coc_um: float, index: float = 1.0
) -> float:
    """Return the geometric depth of field ``2 n Neff c / m**2``, micrometres.

    A point at a distance ``z`` from the plane in focus gives a blur disc of diameter
    ``z m**2 / Neff`` on the sensor. The diameter equals ``c`` when ``z`` is half the depth of
    field. Source: the close-up limit of the usual formula ``2 N c (1 + m/P) / m**2``, as in
    S. F. Ray, Applied Photographic Optics (Focal Press, 2002).
    In a medium of refractive index ``n`` the cone of light is narrower by the factor ``n`` (Snell's
    law).
    """
    return 2 * index * effective_f_number * coc_um / magnification**2


def wave_dof_um(
    na: float, wavelength_um: float = DEFAULT_WAVELENGTH_UM, index: float = 1.0
) -> float:
    """Return the wave-optical depth of field ``n lambda / NA**2``, micrometres.

    Rayleigh's quarter-wave criterion: a defocus of half this depth gives a wavefront error of a
    quarter wave at the edge of the pupil. Source: M. Born, E. Wolf, Principles of Optics, 8.8.
    """
    return index * wavelength_um / na**2


def depth_of_field(
    effective_f_number: float,
    magnification: float,
    coc_um: float,
    wavelength_um: float = DEFAULT_WAVELENGTH_UM,
    index: float = 1.0,
) -> DepthOfField:
    """Return the depth of field by both criteria; all arguments must be above 0.

    Parameters
    ----------
    index
        Refractive index of the medium between lens and specimen; 1 for air.
    """
    na = numerical_aperture(effective_f_number, magnification)
    return DepthOfField(
        effective_f_number=effective_f_number,
        na=na,
        geometric_um=geometric_dof_um(effective_f_number, magnification, coc_um, index),
        wave_um=wave_dof_um(na, wavelength_um, index),
    )


def object_pixel_um(pixel_pitch_um: float, magnification: float) -> float:
    """Return the size of one pixel on the specimen, micrometres."""
    return pixel_pitch_um / magnification
