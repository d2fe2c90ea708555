"""Forecasts time, disk space and wear of a campaign, stack by stack, without any device."""

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
    """The forecast of one stack.

    Attributes
    ----------
    key
        Key of the stack in the campaign's plan.
    place
        Name of the specimen's position.
    specimen
        Id of the specimen; empty while it is not known.
    x_um, y_um, turn_deg
        Position of the stage; ``None`` if the operator moves the specimen.
    near_um, far_um
        Ends of the range to shoot.
    slices
        Number of slices; 0 if the range is searched for during the campaign.
    stack_s
        Run time of the stack in seconds.
    between_s
        Run time before the stack in seconds: retracting, moving the stage and settling.
    size_bytes
        Size of the stack's frames and results, bytes.
    rail_um
        Distance that the focus axis moves for the stack, in both directions together.
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
class CampaignForecast:
    """The forecast of a campaign.

    Attributes
    ----------
    stacks
        Forecasts of the stacks, in their order.
    by_hand
        Number of times that the operator has to change or turn a specimen or switch the light.
    """

    stacks: tuple[StackForecast, ...]
    by_hand: int

    @property
    def duration_s(self) -> float:
        """Run time in seconds, without manual steps and without connecting the devices."""
        return sum(one.stack_s + one.between_s for one in self.stacks)

    @property
    def size_bytes(self) -> int:
        """Size of frames and results of all stacks, bytes."""
        return sum(one.size_bytes for one in self.stacks)

    @property
    def shutter(self) -> int:
        """Number of shutter actuations for all stacks."""
        return sum(one.slices for one in self.stacks)

    @property
    def searched(self) -> int:
        """Number of stacks whose range is searched for; other totals leave these stacks out."""
        return sum(not one.slices for one in self.stacks)

    @property
    def rail_um(self) -> float:
        """Distance that the focus axis moves for all stacks, micrometres."""
        return sum(one.rail_um for one in self.stacks)

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast as JSON values, for ``macrorail plan --json``."""
        return {
            "stacks": [asdict(one) for one in self.stacks],
            "duration_s": self.duration_s,
            "size_bytes": self.size_bytes,
            "wear": {"shutter": self.shutter, "rail_um": self.rail_um},
            "by_hand": self.by_hand,
            "searched": self.searched,
        }


def plan_stack(task: StackTask, rig: Rig, specimen: dict[str, str]) -> tuple[Protocol, Plan]:
    """Return the protocol and the plan of one stack.

    Raises
    ------
    MacrorailError
        The stack cannot be shot; the message begins with the key of the stack.
    """
    wanted = Protocol.model_validate(
        task.protocol_with(specimen or {"id": task.place}), by_alias=True, by_name=False
    )
    try:
        if wanted.range.search is not None:
            make_search(wanted, rig)
            return wanted, plan_before_search(wanted, rig)
        return wanted, make_plan(wanted, rig)
    except MacrorailError as error:
        raise PlanError(f"{task.key}: {error}") from error


def forecast(campaign: CampaignPlan, rig: Rig) -> CampaignForecast:
    """Plan every stack of a campaign and return the forecast.

    Raises
    ------
    PlanError
        A stack cannot be shot, or the stage cannot reach a position.
    """
    _check_stage(campaign, rig)
    stacks = tuple(_stacks(campaign, rig))
    return CampaignForecast(stacks, sum(1 for _ in _by_hand(campaign, rig)))


def manual_steps(task: StackTask, before: StackTask | None, rig: Rig) -> str:
    """Return instructions for the operator before a stack; empty when none are needed."""
    steps = []
    if rig.stage is None and (before is None or before.place != task.place):
        steps.append(f"put the specimen of {task.place} under the lens")
    turns = rig.stage is not None and task.where.turn_deg is not None
    old_view = "" if before is None or before.place != task.place else before.view
    if task.view and not turns and task.view != old_view:
        steps.append(f"turn the specimen to its {task.view} view")
    old_light = "" if before is None else before.lighting
    if task.lighting and not task.switch and task.lighting != old_light:
        steps.append(f"light the specimen with: {task.lighting}")
    return "; ".join(steps)


def _by_hand(campaign: CampaignPlan, rig: Rig) -> Iterator[str]:
    before: StackTask | None = None
    for task in campaign.tasks:
        asked = manual_steps(task, before, rig)
        if asked:
            yield asked
        before = task


def _check_stage(campaign: CampaignPlan, rig: Rig) -> None:
    for task in campaign.tasks:
        if rig.stage is None:
            return
        if task.where.x_um is None:
            raise PlanError(
                f"{task.key}: has no 'x' and 'y', but the rig has a stage. Add 'x' and "
                f"'y', or remove the stage section from the rig"
            )
        trouble = rig.stage.unreachable_reason(task.where)
        if trouble is not None:
            raise PlanError(f"{task.key}: {trouble}")


def _stacks(campaign: CampaignPlan, rig: Rig) -> Iterator[StackForecast]:
    here = StagePosition()
    for task in campaign.tasks:
        _, plan = plan_stack(task, rig, {})
        there = task.where
        start_um = rig.axis.travel.from_um
        between_s = move_s(plan.far_um - start_um, rig.axis) if plan.slices else 0.0
        if rig.stage is not None and there != here:
            between_s += rig.stage.move_s(here, there) + campaign.settle_s
        here = there
        yield StackForecast(
            key=task.key,
            place=task.place,
            specimen=task.specimen.get("id", ""),
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
