"""The schema of a lens file: the plane in focus after each number of motor steps."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from macrorail.config.document import Section, key_error, load_document
from macrorail.errors import ConfigError
from macrorail.optics.image_space import FarFocus
from macrorail.quantity import Distance, Length, Steps, StepSize
from macrorail.shipped import CONFIGS

_SHIPPED = CONFIGS / "lenses"


class LensPoint(Section):
    """One row of a lens's table.

    Attributes
    ----------
    at_steps
        Motor steps from the near stop when driving towards far, without the play of the focus gear.
        Example: ``200 steps``
    plane_um
        Distance of the plane in focus from the plane in focus at the near stop; grows away from the
        camera. Example: ``816 um``
    scale
        Size of the image relative to its size at the near stop (focus breathing). Example:
        ``0.99476``
    distance_um
        Distance of the plane in focus from the entrance pupil, up to ``infinity``. For a lens with
        a ``focal_length``; replaces ``plane`` and ``scale``. Example: ``558.5 mm``
    """

    at_steps: Steps = Field(alias="at", ge=0)
    plane_um: Length | None = Field(alias="plane", default=None, ge=0)
    scale: float | None = Field(default=None, gt=0)
    distance_um: Distance | None = Field(alias="distance", default=None, gt=0)


class LensFile(Section):
    """A lens file: which plane is in focus after how many motor steps.

    Attributes
    ----------
    name
        Name of the lens. Example: ``105 mm f/2.8 Macro``
    slack_steps
        Play of the focus gear: motor steps after a reversal that move nothing. Choose it too large
        rather than too small. Example: ``14 steps``
    largest_drive_steps
        Longest drive that the camera finishes within the one second that libgphoto2 waits. Example:
        ``1000 steps``
    end_stop
        ``reported``: the camera reports the end stop (Nikon). ``silent``: the camera does not
        report the end stop (Canon). Homing then drives 1.2 times the travel towards near and
        assumes that the lens is at the stop; a step is the smallest drive of the camera.
    larger_drives
        For a camera whose drives have fixed sizes: the second, third and further sizes, in units
        of the smallest. Only the smallest size is used when none are given. Example: ``[4.2857
        steps, 29.7143 steps]``
    repeatability_um
        Measured standard deviation of the plane in focus when the same position is approached
        repeatedly. Example: ``15 um``
    focal_length_um
        Focal length of a lens that focuses up to infinity; its table lists distances. Example: ``50
        mm``
    table
        Rows with growing steps and planes; the first row is the near stop. Example: ``[{at: 0
        steps, plane: 0 um, scale: 1}, {at: 200 steps, plane: 816 um, scale: 0.99476}]``
    """

    name: str = Field(min_length=1)
    slack_steps: Steps = Field(alias="slack", ge=0)
    largest_drive_steps: Steps = Field(alias="largest_drive", ge=1, le=32767)
    end_stop: Literal["reported", "silent"] = "reported"
    larger_drives: tuple[StepSize, ...] = ()
    repeatability_um: Length | None = Field(alias="repeatability", default=None, ge=0)
    focal_length_um: Length | None = Field(alias="focal_length", default=None, gt=0)
    table: tuple[LensPoint, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _growing(self) -> Self:
        for row in self.table:
            given = {name for name in ("plane", "scale", "distance") if self._gives(row, name)}
            wanted = {"distance"} if self.focal_length_um else {"plane", "scale"}
            if given != wanted:
                raise key_error(
                    "table",
                    f"the row at {row.at_steps} steps must give {' and '.join(sorted(wanted))} and "
                    f"nothing else: a lens with a focal_length has distances, one without has "
                    f"planes and scales",
                )
        first = self.table[0]
        if first.at_steps != 0 or first.plane_um not in (0, None):
            raise key_error("table", "must start at the near stop: {at: 0 steps, plane: 0 um, ...}")
        focal_um, nearest_um = self.focal_length_um, first.distance_um
        if focal_um and nearest_um and not nearest_um > 2 * focal_um:
            raise key_error(
                "focal_length",
                "is too long: the nearest distance must be more than twice the focal length; for a "
                "macro lens, give planes and scales instead",
            )
        planes_um = self._planes_um()
        if not all(smaller < larger for smaller, larger in pairwise(self.drive_sizes)):
            raise key_error("larger_drives", "must grow, and start above 1 step")
        for index, (before, after) in enumerate(pairwise(self.table)):
            near_um, far_um = planes_um[index : index + 2]
            if not (before.at_steps < after.at_steps and near_um < far_um):
                raise key_error(
                    "table",
                    f"steps and planes must grow from row to row: after {before.at_steps} steps "
                    f"({near_um:g} um) comes {after.at_steps} steps ({far_um:g} um)",
                )
        return self

    @staticmethod
    def _gives(row: LensPoint, name: str) -> bool:
        values = {"plane": row.plane_um, "scale": row.scale, "distance": row.distance_um}
        return values[name] is not None

    @property
    def far_focus(self) -> FarFocus | None:
        """Conversion of distances to positions; ``None`` for a lens file without a focal length."""
        nearest_um = self.table[0].distance_um
        if self.focal_length_um is None or nearest_um is None:
            return None
        return FarFocus(self.focal_length_um, nearest_um)

    @property
    def drive_sizes(self) -> tuple[float, ...]:
        """Sizes of the camera's drives in steps, smallest first; the smallest is 1."""
        return (1.0, *self.larger_drives)

    @property
    def travel_steps(self) -> int:
        """Motor steps in the last row of the table."""
        return self.table[-1].at_steps

    @property
    def travel_um(self) -> float:
        """Position of the plane in the last row of the table, micrometres."""
        return self._planes_um()[-1]

    @property
    def resolution_um(self) -> float:
        """Largest distance that the plane in focus moves in one motor step, micrometres."""
        return float(np.max(np.diff(self._planes_um()) / np.diff(self._steps())))

    def resolution_um_at(self, position_um: float) -> float:
        """Return how far the plane in focus moves in one motor step at a position, micrometres."""
        planes_um, steps = np.array(self._planes_um()), np.array(self._steps())
        row = int(np.clip(np.searchsorted(planes_um, position_um, "right"), 1, len(steps) - 1))
        return float((planes_um[row] - planes_um[row - 1]) / (steps[row] - steps[row - 1]))

    def steps_at(self, position_um: float) -> float:
        """Return the motor steps from the near stop at which a plane is in focus, as a float."""
        return float(np.interp(position_um, self._planes_um(), self._steps()))

    def position_at(self, steps: float) -> float:
        """Return the plane in focus at a number of steps from the near stop, micrometres."""
        return float(np.interp(steps, self._steps(), self._planes_um()))

    def scale_at(self, position_um: float) -> float:
        """Return the size of a plane's image, relative to the image size at the near stop."""
        scales = [1.0 if point.scale is None else point.scale for point in self.table]
        return float(np.interp(position_um, self._planes_um(), scales))

    def _steps(self) -> Sequence[int]:
        return [point.at_steps for point in self.table]

    def _planes_um(self) -> Sequence[float]:
        far = self.far_focus
        planes_um = []
        for point in self.table:
            if far is not None and point.distance_um is not None:
                planes_um.append(far.position_um(point.distance_um))
            elif point.plane_um is not None:
                planes_um.append(point.plane_um)
        return planes_um


def find_lens_file(name: str) -> Path:
    """Return the path of a lens file, named by a path or by the name of a shipped lens file.

    Raises
    ------
    ConfigError
        No shipped lens file has this name; the message lists the names.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name).expanduser().absolute()
    path = _SHIPPED / f"{name}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(each.stem for each in _SHIPPED.glob("*.yaml"))) or "none"
        raise ConfigError(
            f"there is no lens file '{name}'; macrorail ships: {shipped}. Write one of these names "
            f"or a path"
        )
    return path


def lens_file_text(lens: LensFile, comment: str) -> str:
    """Return the text of a lens file, with ``comment`` (one or more lines) at its beginning."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [
        f"name: {json.dumps(lens.name, ensure_ascii=False)}",
        f"slack: {lens.slack_steps} steps",
        f"largest_drive: {lens.largest_drive_steps} steps",
    ]
    if lens.end_stop != "reported":
        lines.append(f"end_stop: {lens.end_stop}")
    if lens.larger_drives:
        sizes = ", ".join(f"{size:.10g} steps" for size in lens.larger_drives)
        lines.append(f"larger_drives: [{sizes}]")
    if lens.repeatability_um is not None:
        lines.append(f"repeatability: {lens.repeatability_um:g} um")
    if lens.focal_length_um is not None:
        lines.append(f"focal_length: {lens.focal_length_um:.10g} um")
    lines.append("table:")
    for row in lens.table:
        given = [f"at: {row.at_steps} steps"]
        if row.distance_um is not None:
            far = math.isinf(row.distance_um)
            given.append(f"distance: {'infinity' if far else f'{row.distance_um:.10g} um'}")
        if row.plane_um is not None and row.scale is not None:
            given += [f"plane: {row.plane_um:.10g} um", f"scale: {row.scale:.6f}"]
        lines.append(f"  - {{{', '.join(given)}}}")
    return "\n".join(lines) + "\n"


def load_lens_file(path: Path) -> LensFile:
    """Read and check a lens file.

    Raises
    ------
    ConfigError
        The file is unreadable or wrong; the message names file, line and column.
    """
    return load_document(path, LensFile)
