"""What a whole campaign will take: time, disk and wear, stack by stack. Touches no device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from macrorail.campaign.plan import CampaignPlan, StackTask
from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.config.stage import StagePosition
from macrorail.errors import MacrorailError, PlanError
from macrorail.planning.plan import Plan, make_plan, move_s, plan_before_search
from macrorail.planning.range_search.search import make_search


@dataclass(frozen=True)
class StackForecast:
    """One stack of the campaign.

    Attributes
    ----------
    key, place
        Which; see ``StackTask``.
    specimen
        Its id, empty while it is not known.
    x_um, y_um, turn_deg
        Of the stage; ``None`` where a hand does it.
    near_um, far_um
        Its range.
    slices
        How many.
    stack_s, between_s
        World time of the stack itself, and of retracting, moving the stage and settling before it.
    size_bytes
        Of frames and results.
    rail_um
        Way of the focus axis, there and back.
    """

    key: str
    place: str
    specimen: str
    x_um: float | None
    y_um: float | None
    turn_deg: float | None
    near_um: float
    far_um: float
    slices: int
    stack_s: float
    between_s: float
    size_bytes: int
    rail_um: float


@dataclass(frozen=True)
class Forecast:
    """The whole.

    Attributes
    ----------
    stacks
        In their order.
    by_hand
        How often somebody has to change the specimen, turn it or switch the light.
    """

    stacks: tuple[StackForecast, ...]
    by_hand: int

    @property
    def duration_s(self) -> float:
        """World time, without manual steps and of opening devices."""
        return sum(one.stack_s + one.between_s for one in self.stacks)

    @property
    def size_bytes(self) -> int:
        """Of everything."""
        return sum(one.size_bytes for one in self.stacks)

    @property
    def shutter(self) -> int:
        """Actuations of the shutter."""
        return sum(one.slices for one in self.stacks)

    @property
    def searched(self) -> int:
        """How many ranges are searched for when their turn comes; no part of the other figures."""
        return sum(not one.slices for one in self.stacks)

    @property
    def rail_um(self) -> float:
        """Way of the focus axis."""
        return sum(one.rail_um for one in self.stacks)

    def to_dict(self) -> dict[str, Any]:
        """For ``macrorail plan --json``."""
        return {
            "stacks": [asdict(one) for one in self.stacks],
            "duration_s": self.duration_s,
            "size_bytes": self.size_bytes,
            "wear": {"shutter": self.shutter, "rail_um": self.rail_um},
            "by_hand": self.by_hand,
            "searched": self.searched,
        }


def plan_stack(item: StackTask, rig: Rig, specimen: dict[str, str]) -> tuple[Protocol, Plan]:
    """One stack's protocol and plan, of a specimen that is known.

    Raises
    ------
    MacrorailError
        It cannot be carried out; the message begins with its key.
    """
    wanted = Protocol.model_validate(
        item.protocol_with(specimen or {"id": item.place}), by_alias=True, by_name=False
    )
    try:
        if wanted.range.search is not None:
            make_search(wanted, rig)
            return wanted, plan_before_search(wanted, rig)
        return wanted, make_plan(wanted, rig)
    except MacrorailError as error:
        raise PlanError(f"{item.key}: {error}") from error


def forecast(work: CampaignPlan, rig: Rig) -> Forecast:
    """Plan every stack of a campaign.

    Raises
    ------
    PlanError
        A stack that cannot be carried out, or a position that the stage cannot reach.
    """
    _check_stage(work, rig)
    stacks = tuple(_stacks(work, rig))
    return Forecast(stacks, sum(1 for _ in _by_hand(work, rig)))


def manual_steps(item: StackTask, before: StackTask | None, rig: Rig) -> str:
    """What somebody has to do before a stack can be shot, in words; empty for nothing."""
    told = []
    if rig.stage is None and (before is None or before.place != item.place):
        told.append(f"put the specimen of {item.place} under the lens")
    turns = rig.stage is not None and item.where.turn_deg is not None
    old_view = "" if before is None or before.place != item.place else before.view
    if item.view and not turns and item.view != old_view:
        told.append(f"turn it to its {item.view} view")
    old_light = "" if before is None else before.lighting
    if item.lighting and not item.switch and item.lighting != old_light:
        told.append(f"light it with: {item.lighting}")
    return "; ".join(told)


def _by_hand(work: CampaignPlan, rig: Rig) -> Iterator[str]:
    before: StackTask | None = None
    for item in work.items:
        asked = manual_steps(item, before, rig)
        if asked:
            yield asked
        before = item


def _check_stage(work: CampaignPlan, rig: Rig) -> None:
    for item in work.items:
        if rig.stage is None:
            return
        if item.where.x_um is None:
            raise PlanError(
                f"{item.key}: has no 'x' and 'y', and the rig has a stage that moves there; give "
                f"them, or take the rig's stage section out"
            )
        trouble = rig.stage.unreachable_reason(item.where)
        if trouble is not None:
            raise PlanError(f"{item.key}: {trouble}")


def _stacks(work: CampaignPlan, rig: Rig) -> Iterator[StackForecast]:
    here = StagePosition()
    for item in work.items:
        _, plan = plan_stack(item, rig, {})
        there = item.where
        start_um = rig.axis.travel.from_um
        between_s = move_s(plan.far_um - start_um, rig.axis) if plan.slices else 0.0
        if rig.stage is not None and there != here:
            between_s += rig.stage.move_s(here, there) + work.settle_s
        here = there
        yield StackForecast(
            key=item.key,
            place=item.place,
            specimen=item.specimen.get("id", ""),
            x_um=there.x_um,
            y_um=there.y_um,
            turn_deg=there.turn_deg,
            near_um=plan.near_um,
            far_um=plan.far_um,
            slices=len(plan.slices),
            stack_s=plan.duration_s,
            between_s=between_s,
            size_bytes=plan.size_bytes,
            rail_um=2 * (plan.far_um - start_um) if plan.slices else 0.0,
        )
