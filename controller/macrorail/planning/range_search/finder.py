"""Looks for the specimen: drives axis and camera along a search, and says what range to shoot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from macrorail.clock import Clock
from macrorail.devices.interfaces import Camera, FocusAxis, LiveView
from macrorail.errors import DeviceError, MacrorailError, PlanError
from macrorail.frame import verify_frame
from macrorail.planning.range_search.ends import Ends, Looked, find_ends
from macrorail.planning.range_search.search import COARSE_BAND, FINE_BAND, WIDEST_PX, Search
from macrorail.proof.measure import measure
from macrorail.quantity import format_length

# How often a fine sweep is widened because an end still gets sharper at its edge.
_WIDENINGS = 4
# Past an end from the coarse sweep, in coarse steps.
_BEYOND = 1.5


@dataclass(frozen=True)
class Found:
    """The range to shoot, and what it follows from.

    Attributes
    ----------
    near_um, far_um
        Of the range: the sharp planes with their margin, within what is allowed.
    margin_um
        Added at each end.
    looks
        How many it took.
    ends
        Where the specimen begins and ends.
    """

    near_um: float
    far_um: float
    margin_um: float
    looks: int
    ends: Ends

    def to_dict(self) -> dict[str, Any]:
        """For the journal: plain numbers, micrometres."""
        told = asdict(self.ends)
        told |= {"sharp_from_um": told.pop("near_um"), "sharp_to_um": told.pop("far_um")}
        fields = {"near_um": self.near_um, "far_um": self.far_um, "margin_um": self.margin_um}
        return {**fields, "looks": self.looks, **told}


class RangeFinder:
    """Carries out one search.

    Parameters
    ----------
    search
        Where to look.
    axis, camera, clock
        Built, not yet opened.
    settings
        Camera settings by canonical name; they are put back afterwards.
    settle_s
        World time between a move's end and a look.
    closest_approach_um
        A tighter limit than the rig's own, for this specimen.
    folder
        Takes each look for as long as it is measured.
    note
        Takes journal entries.
    """

    def __init__(
        self,
        search: Search,
        axis: FocusAxis,
        camera: Camera,
        clock: Clock,
        settings: Mapping[str, str],
        settle_s: float,
        closest_approach_um: float | None,
        folder: Path,
        note: Callable[..., Any],
    ) -> None:
        self._search = search
        self._axis = axis
        self._camera = camera
        self._clock = clock
        self._settings = settings
        self._settle_s = settle_s
        self._closest_approach_um = closest_approach_um
        self._folder = folder
        self._note = note
        self._live: LiveView | None = None
        self._looks: list[Looked] = []
        self._count = 0

    def find(self) -> Found:
        """Home, look along the axis, and leave both devices closed and as they were found.

        Raises
        ------
        PlanError
            Nothing with texture was seen.
        DeviceError, FrameError, OperatorStop
        """
        self._folder.mkdir(exist_ok=True)
        found_settings: dict[str, str] = {}
        try:
            self._axis.open(self._closest_approach_um)
            report = self._camera.open()
            found_settings = {
                name: report.settings[name] for name in self._settings if name in report.settings
            }
            self._camera.configure(self._settings)
            if isinstance(self._camera, LiveView) and "live_view" in report.abilities:
                self._live = self._camera
            self._note("search_began", by=self._by, **self._search.to_dict())
            self._note("homed", position_um=self._axis.home())
            found = self._found(self._ends())
            self._note("range_found", **found.to_dict())
            return found
        except MacrorailError:
            self._axis.stop()
            raise
        finally:
            self._release(found_settings)

    @property
    def _by(self) -> str:
        return "frames" if self._live is None else "live view"

    def _ends(self) -> Ends:
        """First all of the way in coarse steps, then what was found there in fine ones."""
        search = self._search
        if not search.needs_coarse:
            return self._swept(search.low_um, search.high_um, FINE_BAND)
        rough = self._swept(search.low_um, search.high_um, COARSE_BAND)
        beyond_um = _BEYOND * search.step_um(COARSE_BAND, rough.far_um)
        near_um, far_um = rough.near_um - beyond_um, rough.far_um + beyond_um
        self._looks = []
        ends = self._swept(near_um, far_um, FINE_BAND)
        for _ in range(_WIDENINGS):
            if ends.near_open and near_um > search.low_um:
                near_um -= beyond_um
                ends = self._swept(near_um, near_um + beyond_um, FINE_BAND)
            elif ends.far_open and far_um < search.high_um:
                far_um += beyond_um
                ends = self._swept(far_um - beyond_um, far_um, FINE_BAND)
            else:
                break
        return ends

    def _swept(self, from_um: float, to_um: float, band: int) -> Ends:
        """Look along a part of the way; the ends by all looks since the sweep began."""
        search = self._search
        for position_um in search.positions_um(band, from_um, to_um):
            self._look(position_um)
        ends = find_ends(self._looks, band, search.dof_um(band, from_um))
        if ends is None:
            raise PlanError(
                f"range: nothing with texture was seen from {format_length(search.low_um, 6)} to "
                f"{format_length(search.high_um, 6)} ({self._count} looks by {self._by}). Is "
                f"there light, is the lens cap off, does the specimen stand before the lens within "
                f"these positions? Otherwise give near and far by hand"
            )
        return ends

    def _look(self, position_um: float) -> None:
        self._axis.start_move(position_um)
        achieved_um = self._axis.finish_move()
        self._clock.sleep(self._settle_s)
        self._count += 1
        path = self._picture()
        try:
            seen = measure(path, WIDEST_PX)
        finally:
            path.unlink()
        self._looks.append(Looked(achieved_um, seen))
        self._note(
            "looked", position_um=achieved_um, sharpness=float(seen.energy[COARSE_BAND].mean())
        )

    def _picture(self) -> Path:
        if self._live is not None:
            path = self._folder / "look.jpg"
            # The first frame may have been under way while the axis still moved.
            for _ in range(2):
                self._live.preview(path)
            return path
        exposure = self._camera.expose(self._folder / f"look-{self._count:04d}")
        frame = self._camera.collect(exposure)
        verify_frame(frame)
        return frame.path

    def _found(self, ends: Ends) -> Found:
        search = self._search
        margin_um = search.margin_um
        if margin_um is None:
            margin_um = search.step_um(FINE_BAND, ends.near_um)
        return Found(
            near_um=max(ends.near_um - margin_um, search.low_um),
            far_um=min(ends.far_um + margin_um, search.high_um),
            margin_um=margin_um,
            looks=self._count,
            ends=ends,
        )

    def _release(self, found_settings: Mapping[str, str]) -> None:
        """What fails here fails again, and is told, when the run opens its devices."""
        with suppress(DeviceError):
            if self._live is not None:
                self._live.end_live_view()
        with suppress(DeviceError):
            if found_settings:
                self._camera.configure(found_settings)
        for device in (self._axis, self._camera):
            with suppress(DeviceError):
                device.close()
