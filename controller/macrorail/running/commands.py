"""The operator's commands to a running run, from any thread, key, socket or signal."""

from __future__ import annotations

from macrorail.clock import Clock


class Commands:
    """Commands that the runner checks between slices; those that cannot wait go to the clock.

    Safe to use from any thread and from signal handlers: each command is one assignment.

    Parameters
    ----------
    clock
        The run's; an abort interrupts every wait on it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pause: str | None = None
        self._stop: str | None = None
        self._go_on: str | None = None
        self._emergency = False

    def pause(self, by: str) -> None:
        """Pause at the next slice boundary and stay so until :meth:`resume`."""
        self._pause = f"paused by {by}"

    def resume(self, by: str) -> None:
        """Continue; a pause that was requested and has not begun is cancelled."""
        self._pause = None
        self._go_on = f"resumed by {by}"

    def stop(self, by: str) -> None:
        """End the run when the slice that is being shot is done."""
        self._stop = f"stopped after this slice by {by}"

    def abort(self, by: str) -> None:
        """End the run now: the axis is brought to rest, an exposure under way is kept."""
        self._clock.request_stop(f"stopped by {by}")

    def emergency(self, by: str) -> None:
        """End the run now and stop the axis dead, at the cost of its position."""
        self._emergency = True
        self._clock.request_stop(f"emergency stop by {by}")

    @property
    def wants_pause(self) -> str | None:
        """Who asked for a pause, in words; ``None`` when nobody did."""
        return self._pause

    def forget_resume(self) -> None:
        """A pause begins: only a resume that is given from now on ends it."""
        self._go_on = None

    @property
    def wants_to_go_on(self) -> str | None:
        """Who asked to continue, in words; ``None`` when nobody did."""
        return self._go_on

    @property
    def wants_stop(self) -> str | None:
        """Who asked for a stop after this slice, in words; ``None`` when nobody did."""
        return self._stop

    @property
    def is_emergency(self) -> bool:
        """Whether the axis must stop dead."""
        return self._emergency
