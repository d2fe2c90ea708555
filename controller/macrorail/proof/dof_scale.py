"""Converts positions from micrometres to depths of field and back."""

from __future__ import annotations

import numpy as np

from macrorail.proof.measure import Floats


class DofScale:
    """Scale of positions in depths of field from the first slice; the depth of field may vary.

    Parameters
    ----------
    position_um, dof_um
        (slices,) positions and the depth of field at each, in any order.
    """

    def __init__(self, position_um: Floats, dof_um: Floats) -> None:
        self._um, first = np.unique(position_um, return_index=True)
        dof = dof_um[first]
        steps = np.diff(self._um) * 2 / (dof[:-1] + dof[1:])
        self._u = np.concatenate([[0.0], np.cumsum(steps)])
        self._first_dof_um, self._last_dof_um = float(dof[0]), float(dof[-1])

    def to_dof(self, position_um: Floats) -> Floats:
        """Convert micrometres to depths of field from the first slice.

        Beyond the outermost slices the conversion is linear.
        """
        before = np.minimum(position_um - self._um[0], 0) / self._first_dof_um
        behind = np.maximum(position_um - self._um[-1], 0) / self._last_dof_um
        u: Floats = np.interp(position_um, self._um, self._u) + before + behind
        return u

    def to_um(self, u: Floats) -> Floats:
        """Convert depths of field from the first slice to micrometres (inverse of ``to_dof``)."""
        before = np.minimum(u - self._u[0], 0) * self._first_dof_um
        behind = np.maximum(u - self._u[-1], 0) * self._last_dof_um
        position_um: Floats = np.interp(u, self._u, self._um) + before + behind
        return position_um
