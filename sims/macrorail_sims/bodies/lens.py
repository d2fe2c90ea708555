"""A simulated lens driven in motor steps: end stops, backlash, plane in focus, breathing."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LensState:
    """The optical state of the lens.

    Attributes
    ----------
    plane_um
        Plane in focus, micrometres from the plane at the near stop, increasing away from the
        camera. For a lens that focuses up to infinity: distance of the plane from the entrance
        pupil, up to ``math.inf``.
    scale
        Size of the image relative to its size at the near stop (focus breathing), > 0.
    """

    plane_um: float
    scale: float


class SimulatedLens:
    """A generic 105 mm macro lens, described by ``configs/lenses/simulated-105mm.yaml``.

    The motor drives the glass through a gear with backlash: after a reversal, the first
    ``slack_steps`` do not move the glass. The plane in focus is ``linear s + square s**2``, where
    ``s`` is the position of the glass. As the plane moves away, the image shrinks by the factor
    ``1 / (1 + plane / breathing_distance)``.

    Attributes
    ----------
    travel_steps
        Travel of the glass between the end stops.
    slack_steps
        Backlash between motor and glass.
    step_s
        Time of one motor step, world seconds.
    stuck
        Number of future drives that report their steps without moving the glass, as with a
        slipping clutch or a focus switch set to manual.
    """

    name = "Simulated 105 mm f/2.8 Macro"
    travel_steps = 4000
    slack_steps = 14
    step_s = 0.0003
    linear_um = 4.0
    square_um = 0.0004
    breathing_distance_um = 155_000.0

    def __init__(self, glass_steps: int = 1000) -> None:
        self._glass = glass_steps
        self._motor = glass_steps
        self.stuck = 0

    @property
    def glass_steps(self) -> int:
        """True position of the glass in motor steps from the near stop."""
        return self._glass

    @property
    def motor_steps(self) -> int:
        """Position of the motor in steps; differs from the glass's position by the backlash."""
        return self._motor

    @property
    def state(self) -> LensState:
        """Plane in focus and image scale at the true position of the glass."""
        plane_um = self.linear_um * self._glass + self.square_um * self._glass**2
        return LensState(plane_um, 1.0 / (1.0 + plane_um / self.breathing_distance_um))

    def drive(self, steps: int) -> int:
        """Turn the motor, towards far if positive, and return the number of steps turned.

        The number is smaller than requested when an end stop is reached.
        """
        wanted = self._motor + steps
        # The glass is between motor - slack (pushed towards far) and motor (pulled to near).
        reached = max(0, min(self.travel_steps + self.slack_steps, wanted))
        turned = reached - self._motor
        if self.stuck > 0:
            self.stuck -= 1
            return turned
        self._motor = reached
        self._glass = min(max(self._glass, self._motor - self.slack_steps), self._motor)
        self._glass = min(self._glass, self.travel_steps)
        return turned


class SimulatedFarLens(SimulatedLens):
    """A generic 50 mm lens, described by ``configs/lenses/simulated-50mm.yaml``.

    Its position in image space is ``linear s + square s**2``, where ``s`` is the position of the
    glass; it is 0 at ``nearest_um`` (Newton's equation). The travel ends slightly beyond infinity.
    :mod:`macrorail_sims.landscape` computes how the size of the picture changes with focus.
    """

    name = "Simulated 50 mm f/1.8"
    focal_length_um = 50_000.0
    nearest_um = 500_000.0
    travel_steps = 1830
    slack_steps = 9
    linear_um = 2.6
    square_um = 320 / 1800**2

    @property
    def state(self) -> LensState:
        come_in_um = self.linear_um * self._glass + self.square_um * self._glass**2
        vergence = 1 / self.nearest_um - come_in_um / self.focal_length_um**2
        return LensState(1 / vergence if vergence > 0 else math.inf, 1.0)
