"""Searches for the specimen: moves the axis, takes pictures, and returns the range to shoot."""

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
from macrorail.planning.range_search.ends import SearchPicture, SpecimenEnds, find_specimen_ends
from macrorail.planning.range_search.search import COARSE_BAND, FINE_BAND, WIDEST_PX, RangeSearch
from macrorail.proof.measure import measure
from macrorail.quantity import format_length
from macrorail.run_folder.events import (
    AxisHomed,
    Event,
    RangeFound,
    SearchSampled,
    SearchStarted,
)

# How often the fine search is extended because the specimen reaches its edge.
_EXTENSIONS = 4
# How far the fine search goes beyond the ends found by the coarse search, in coarse steps.
_BEYOND = 1.5


@dataclass(frozen=True)
class FoundRange:
    """The range to shoot, and how it was found.

    Attributes
    ----------
    near_um, far_um
        Ends of the range: the ends of the specimen plus the margin, within the allowed positions.
    margin_um
        Margin added at each end.
    looks
        Number of pictures taken.
    ends
        The ends of the specimen.
    """

    near_um: float
    far_um: float
    margin_um: float
    looks: int
    ends: SpecimenEnds

    def to_dict(self) -> dict[str, Any]:
        """Return the range as written to the journal: plain numbers, micrometres."""
        data = asdict(self.ends)
        data |= {"sharp_from_um": data.pop("near_um"), "sharp_to_um": data.pop("far_um")}
        fields = {"near_um": self.near_um, "far_um": self.far_um, "margin_um": self.margin_um}
        return {**fields, "looks": self.looks, **data}


class RangeFinder:
    """Performs one range search.

    Parameters
    ----------
    search
        Positions, steps and optics of the search.
    axis, camera, clock
        Devices that are constructed but not yet opened, and the clock.
    settings
        Camera settings during the search, by canonical name; the previous settings are restored
        after the search.
    settle_s
        World time between the end of a move and the picture.
    closest_approach_um
        Highest position allowed for this specimen; ``None`` for the rig's limit.
    folder
        Folder in which each picture is stored while it is measured.
    log_event
        Called with each event, for the journal.
    """

    def __init__(
        self,
        search: RangeSearch,
        axis: FocusAxis,
        camera: Camera,
        clock: Clock,
        settings: Mapping[str, str],
        settle_s: float,
        closest_approach_um: float | None,
        folder: Path,
        log_event: Callable[[Event], Any],
    ) -> None:
        self._search = search
        self._axis = axis
        self._camera = camera
        self._clock = clock
        self._settings = settings
        self._settle_s = settle_s
        self._closest_approach_um = closest_approach_um
        self._folder = folder
        self._log_event = log_event
        self._live: LiveView | None = None
        self._pictures: list[SearchPicture] = []
        self._count = 0

    def find(self) -> FoundRange:
        """Home the axis, search and return the range; then close both devices.

        The camera's previous settings are restored.

        Raises
        ------
        PlanError
            No texture was found.
        DeviceError, FrameError, OperatorStop
            A device failed, a picture is damaged, or the operator stopped the search.
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
            self._log_event(SearchStarted(method=self._by, **self._search.to_dict()))
            self._log_event(AxisHomed(position_um=self._axis.home()))
            found = self._found(self._ends())
            self._log_event(RangeFound(**found.to_dict()))
            return found
        except MacrorailError:
            self._axis.stop()
            raise
        finally:
            self._release(found_settings)

    @property
    def _by(self) -> str:
        return "frames" if self._live is None else "live view"

    def _ends(self) -> SpecimenEnds:
        """Search in coarse steps, then near the specimen in fine steps; return its ends."""
        search = self._search
        if not search.needs_coarse:
            return self._ends_between(search.low_um, search.high_um, FINE_BAND)
        rough = self._ends_between(search.low_um, search.high_um, COARSE_BAND)
        beyond_um = _BEYOND * search.step_um(COARSE_BAND, rough.far_um)
        near_um, far_um = rough.near_um - beyond_um, rough.far_um + beyond_um
        self._pictures = []
        ends = self._ends_between(near_um, far_um, FINE_BAND)
        for _ in range(_EXTENSIONS):
            if ends.near_open and near_um > search.low_um:
                near_um -= beyond_um
                ends = self._ends_between(near_um, near_um + beyond_um, FINE_BAND)
            elif ends.far_open and far_um < search.high_um:
                far_um += beyond_um
                ends = self._ends_between(far_um - beyond_um, far_um, FINE_BAND)
            else:
                break
        return ends

    def _ends_between(self, from_um: float, to_um: float, band: int) -> SpecimenEnds:
        """Take pictures from one position to another; return the ends from all stored pictures."""
        search = self._search
        for position_um in search.positions_um(band, from_um, to_um):
            self._take(position_um)
        ends = find_specimen_ends(self._pictures, band, search.dof_um(band, from_um))
        if ends is None:
            raise PlanError(
                f"range: no texture was found from {format_length(search.low_um, 6)} to "
                f"{format_length(search.high_um, 6)} ({self._count} pictures by {self._by}). "
                f"Check that the light is on, the lens cap is off and the specimen is in focus at "
                f"some position in this range. Or write 'near' and 'far' into the protocol"
            )
        return ends

    def _take(self, position_um: float) -> None:
        self._axis.start_move(position_um)
        achieved_um = self._axis.finish_move()
        self._clock.sleep(self._settle_s)
        self._count += 1
        path = self._capture()
        try:
            measurement = measure(path, WIDEST_PX)
        finally:
            path.unlink()
        self._pictures.append(SearchPicture(achieved_um, measurement))
        sharpness = float(measurement.energy[COARSE_BAND].mean())
        self._log_event(SearchSampled(position_um=achieved_um, sharpness=sharpness))

    def _capture(self) -> Path:
        if self._live is not None:
            path = self._folder / "look.jpg"
            # The first frame may have been exposed while the axis was still moving.
            for _ in range(2):
                self._live.preview(path)
            return path
        exposure = self._camera.expose(self._folder / f"look-{self._count:04d}")
        frame = self._camera.collect(exposure)
        verify_frame(frame)
        return frame.path

    def _found(self, ends: SpecimenEnds) -> FoundRange:
        search = self._search
        margin_um = search.margin_um
        if margin_um is None:
            margin_um = search.step_um(FINE_BAND, ends.near_um)
        return FoundRange(
            near_um=max(ends.near_um - margin_um, search.low_um),
            far_um=min(ends.far_um + margin_um, search.high_um),
            margin_um=margin_um,
            looks=self._count,
            ends=ends,
        )

    def _release(self, found_settings: Mapping[str, str]) -> None:
        """Close the devices. Failures are ignored: the run reopens the devices and reports them."""
        with suppress(DeviceError):
            if self._live is not None:
                self._live.end_live_view()
        with suppress(DeviceError):
            if found_settings:
                self._camera.configure(found_settings)
        for device in (self._axis, self._camera):
            with suppress(DeviceError):
                device.close()
