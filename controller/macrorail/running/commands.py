"""The operator's commands during a run, from any thread, key, socket or signal."""

from __future__ import annotations

from macrorail.clock import Clock


class Commands:
    """Commands that the runner checks between slices; urgent commands interrupt the clock.

    Safe to use from any thread and from signal handlers: each command is one assignment.

    Parameters
    ----------
    clock
        Clock of the run; an abort interrupts every wait on it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pause: str | None = None
        self._stop: str | None = None
        self._go_on: str | None = None
        self._emergency = False

    def pause(self, by: str) -> None:
        """Pause at the next slice boundary until :meth:`resume` is called."""
        self._pause = f"paused by {by}"

    def resume(self, by: str) -> None:
        """Continue; a pause that was requested but has not begun is cancelled."""
        self._pause = None
        self._go_on = f"resumed by {by}"

    def stop(self, by: str) -> None:
        """End the run when the current slice is finished."""
        self._stop = f"stopped after this slice by {by}"

    def abort(self, by: str) -> None:
        """End the run now: stop the axis, and keep the frame of an exposure in progress."""
        self._clock.request_stop(f"stopped by {by}")

    def emergency(self, by: str) -> None:
        """End the run now and stop the axis immediately; its position is lost."""
        self._emergency = True
        self._clock.request_stop(f"emergency stop by {by}")

    @property
    def wants_pause(self) -> str | None:
        """Who requested a pause, as text; ``None`` if no pause was requested."""
        return self._pause

    def forget_resume(self) -> None:
        """Discard earlier resume commands; call this when a pause begins."""
        self._go_on = None

    @property
    def wants_to_go_on(self) -> str | None:
        """Who requested to continue, as text; ``None`` if it was not requested."""
        return self._go_on

    @property
    def wants_stop(self) -> str | None:
        """Who requested a stop after this slice, as text; ``None`` if it was not requested."""
        return self._stop

    @property
    def is_emergency(self) -> bool:
        """Whether the axis must stop immediately, at the cost of its position."""
        return self._emergency
