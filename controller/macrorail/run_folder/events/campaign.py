"""Campaign events: one frozen type for each kind of line in a campaign's journal.

``stack`` is the key of a stack in the campaign's plan. Paths of folders are relative to the
campaign folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from macrorail.run_folder.events.codec import Event, absent


@dataclass(frozen=True, kw_only=True)
class CampaignStarted(Event, kind="begun"):
    """A new campaign begins.

    Attributes
    ----------
    campaign
        Id of the campaign.
    stacks
        Number of stacks in the plan.
    bench
        Address of the simulated bench; ``None`` for real devices.
    """

    campaign: str
    stacks: int
    bench: str | None


@dataclass(frozen=True, kw_only=True)
class CampaignResumed(Event, kind="went_on"):
    """``macrorail resume`` continues the campaign; fields as in :class:`CampaignStarted`."""

    campaign: str
    stacks: int
    bench: str | None


@dataclass(frozen=True, kw_only=True)
class CampaignFinished(Event, kind="finished"):
    """Every stack is done or in quarantine."""

    stacks: int
    done: int
    quarantined: int
    left: int
    message: str


@dataclass(frozen=True, kw_only=True)
class CampaignStopped(Event, kind="stopped"):
    """The campaign stopped before all stacks were done; ``message`` gives the reason."""

    stacks: int
    done: int
    quarantined: int
    left: int
    message: str


@dataclass(frozen=True, kw_only=True)
class OperatorAsked(Event, kind="asked"):
    """The operator was asked ``question``, and the campaign waits for the answer."""

    question: str


@dataclass(frozen=True, kw_only=True)
class OperatorAnswered(Event, kind="answered"):
    """The operator has answered."""

    answer: str


@dataclass(frozen=True, kw_only=True)
class SpecimenIdentified(Event, kind="identified"):
    """The specimen at a place of the stage was identified, or could not be.

    Attributes
    ----------
    place
        Name of the place.
    specimen
        The protocol's ``specimen`` section for this specimen.
    why_unidentified
        Why the specimen could not be identified; its runs then go into quarantine. Empty when the
        specimen was identified.
    """

    place: str
    specimen: Mapping[str, str]
    why_unidentified: str


@dataclass(frozen=True, kw_only=True)
class StackStarted(Event, kind="shooting"):
    """The run of a stack starts in the new run folder ``folder``."""

    stack: str
    folder: str
    specimen_id: str


@dataclass(frozen=True, kw_only=True)
class StackEnded(Event, kind="shot"):
    """A stack's run has ended.

    Attributes
    ----------
    completed
        Whether the stack is done; otherwise the stack is tried again or put into quarantine.
    reason
        A value of :class:`macrorail.states.FinishReason`.
    state
        The last state of a run that was not completed; ``None`` for a completed run.
    """

    stack: str
    completed: bool
    reason: str
    message: str
    state: str | None = absent()


@dataclass(frozen=True, kw_only=True)
class StackFailed(Event, kind="failed"):
    """A stack could not be started."""

    stack: str
    why: str


@dataclass(frozen=True, kw_only=True)
class StackPostponed(Event, kind="put_off"):
    """A stack was moved to the end of the plan; ``why`` gives the reason."""

    stack: str
    why: str


@dataclass(frozen=True, kw_only=True)
class StackSetAside(Event, kind="set_aside"):
    """A failed run folder was moved into quarantine; ``folder`` is its new path."""

    stack: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class StackQuarantined(Event, kind="quarantined"):
    """A stack was put into quarantine and is not tried again; ``why`` gives the reason."""

    stack: str
    why: str


@dataclass(frozen=True, kw_only=True)
class AlignmentShared(Event, kind="aligned_as"):
    """A stack reuses the alignment of the stack ``other``."""

    stack: str
    other: str


@dataclass(frozen=True, kw_only=True)
class AxisRetracted(Event, kind="retracted"):
    """The focus axis was moved away from the specimens, so that the stage can move."""

    position_um: float


@dataclass(frozen=True, kw_only=True)
class StageHomed(Event, kind="stage_homed"):
    """The stage was homed; ``model`` is the model of the stage."""

    model: str


@dataclass(frozen=True, kw_only=True)
class StageMoved(Event, kind="staged"):
    """The stage has moved to a stack's specimen; coordinates of missing axes are ``None``."""

    stack: str
    x_um: float | None
    y_um: float | None
    turn_deg: float | None


@dataclass(frozen=True, kw_only=True)
class LightSwitched(Event, kind="lit"):
    """The light was switched for a stack by a shell command."""

    stack: str
    command: str


@dataclass(frozen=True, kw_only=True)
class CampaignFault(Event, kind="trouble"):
    """A device failed between two stacks; ``part`` is ``axis``, ``camera`` or ``stage``."""

    part: str
    error: str
    message: str
