"""Wave-optical model of how defocus reduces the sharpness of a tile.

The model predicts how fast sharpness must fall off along z with the optics that the rig file
states. A faster or slower fall-off means that one of the values in the rig file is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from macrorail.optics.dof import numerical_aperture
from macrorail.proof.measure import Floats

_FREQUENCIES = (np.arange(128) + 0.5) / 256
_ABSCISSAE = (np.arange(48) + 0.5) / 48
_DEPTHS = 160
_RATIOS = np.geomspace(0.45, 2.2, 48)
_ZERO_GRADIENT, _ZERO_SHARE = 1e-9, 1e-12


@dataclass(frozen=True)
class ClaimedOptics:
    """Optics as stated in the rig file.

    Attributes
    ----------
    magnification, effective_f_number
        Magnification, and effective f-number, in the middle of the range.
    pixel_pitch_um, wavelength_um, dof_um
        Pixel pitch of the sensor, wavelength of the light, and depth of field used for planning.
    index
        Refractive index between objective and specimen.
    """

    magnification: float
    effective_f_number: float
    pixel_pitch_um: float
    wavelength_um: float
    dof_um: float
    index: float = 1.0


def depth_ratio(optics: ClaimedOptics, away: Floats, energy: Floats) -> float:
    """Return the ratio of measured to computed depth of field that fits the fall-off best.

    How fast sharpness falls off also depends on how coarse the texture is, which is not known. So
    the power of the texture in each octave of frequency is also fitted, for each ratio.

    Parameters
    ----------
    away
        (distances,) distances from the plane in focus, in depths of field, >= 0.
    energy
        (octaves, distances) float64, > 0: sharpness at these distances; ``nan`` where unknown.

    Notes
    -----
    The transfer function of a defocused lens without aberrations is the overlap integral of
    H. H. Hopkins, Proc. R. Soc. A 231, 91 (1955).
    """
    known = np.isfinite(energy)
    depths = np.linspace(0, float(away.max()) / _RATIOS[0], _DEPTHS)
    parts = _parts(optics, depths, len(energy))
    errors = []
    for ratio in _RATIOS:
        at = np.searchsorted(depths, away / ratio).clip(1, _DEPTHS - 1)
        share = (away / ratio - depths[at - 1]) / (depths[at] - depths[at - 1])
        there = parts[:, at - 1] + share[:, None] * (parts[:, at] - parts[:, at - 1])
        errors.append(_misfit((there / energy[:, :, None])[known]))
    best = int(np.clip(np.argmin(errors), 1, len(errors) - 2))
    before, least, behind = errors[best - 1 : best + 2]
    bend = before - 2 * least + behind
    # Vertex of the parabola through three points of the misfit against the logarithm of the ratio.
    beside = float(np.clip((before - behind) / (2 * bend), -1, 1)) if bend > 0 else 0.0
    return float(_RATIOS[best] * (_RATIOS[1] / _RATIOS[0]) ** beside)


def _parts(optics: ClaimedOptics, depths: Floats, octaves: int) -> Floats:
    """Return the sharpness that texture in each single octave of frequency would have.

    The shape is (octaves, depths, octaves of frequency). The last octave of frequency contains all
    frequencies coarser than the measured ones.
    """
    na = numerical_aperture(optics.effective_f_number, optics.magnification)
    # Frequency in units of half the cut-off NA/lambda of the image side.
    s = 2 * _FREQUENCIES / optics.pixel_pitch_um * optics.wavelength_um * optics.effective_f_number
    waves = depths * optics.dof_um * na**2 / 2 / optics.index / optics.wavelength_um
    transfer = _transfer(np.minimum(s, 2.0), waves) * (s < 2.0)
    passed = np.array([transfer**2 * _gradient(octave) / _FREQUENCIES for octave in range(octaves)])
    edges = [len(_FREQUENCIES) >> octave for octave in range(octaves + 1)]
    edges.append(0)
    return np.stack(
        [passed[:, :, low:high].sum(axis=2) for high, low in pairwise(edges)],
        axis=2,
    )


def _transfer(s: Floats, waves: Floats) -> Floats:
    """Return the optical transfer function, (depths, frequencies)."""
    reach = 1 - s / 2
    x = _ABSCISSAE[None, :] * reach[:, None]
    half_height = np.sqrt(np.maximum(0.0, 1 - (x + s[:, None] / 2) ** 2))
    phase = 4 * np.pi * waves[:, None, None] * s[None, :, None] * x[None]
    value: Floats = 4 / np.pi * (half_height[None] * np.cos(phase)).mean(axis=2) * reach[None]
    return value


def _gradient(band: int) -> Floats:
    """Return the response of the sharpness measurement to each spatial frequency.

    The response includes the pixel size, the reduction of the picture, and the differences.
    """
    nu, pixels = _FREQUENCIES, 2**band
    box = np.sinc(pixels * nu) / np.sinc(nu)
    passed: Floats = 4 * np.sin(np.pi * nu * pixels) ** 2 * box**2 * np.sinc(nu) ** 2
    return passed


def _misfit(parts: Floats) -> float:
    """Return the squared distance of the best non-negative combination of ``parts`` from 1.

    ``parts`` has the shape (samples, parts).

    Source: C. L. Lawson, R. J. Hanson, Solving Least Squares Problems (1974), 23.
    """
    # Frequencies beyond the cut-off of the lens contribute nothing.
    strength = parts.max(axis=0)
    parts = parts[:, strength > 0] / strength[strength > 0]
    normal, wanted = parts.T @ parts, parts.sum(axis=0)
    shares = np.zeros(len(wanted))
    used = np.zeros(len(wanted), bool)
    for _ in range(3 * len(wanted)):
        pull = np.where(used, 0.0, wanted - normal @ shares)
        if pull.max() <= _ZERO_GRADIENT * len(parts):
            break
        used[pull.argmax()] = True
        while True:
            trial = np.zeros(len(wanted))
            trial[used] = np.linalg.lstsq(normal[np.ix_(used, used)], wanted[used])[0]
            below = used & (trial <= 0)
            if not below.any():
                break
            step = (shares[below] / (shares[below] - trial[below])).min()
            shares = shares + step * (trial - shares)
            used &= shares > _ZERO_SHARE
            shares[~used] = 0.0
        shares = trial
    return float(((parts @ shares - 1) ** 2).sum())
