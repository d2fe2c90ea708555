"""What can happen in a campaign: one frozen type for each kind of line in its journal.

A ``stack`` is the key of a stack in the campaign's plan; folders are relative to the campaign's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from macrorail.run_folder.events.codec import Event, absent


@dataclass(frozen=True, kw_only=True)
class CampaignStarted(Event, kind="begun"):
    """A new campaign of ``stacks`` stacks begins; ``bench`` is ``None`` for real devices."""

    campaign: str
    stacks: int
    bench: str | None


@dataclass(frozen=True, kw_only=True)
class CampaignResumed(Event, kind="went_on"):
    """``macrorail resume`` continues an interrupted campaign."""

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
    """The campaign stopped before its end, for the reason ``message``."""

    stacks: int
    done: int
    quarantined: int
    left: int
    message: str


@dataclass(frozen=True, kw_only=True)
class OperatorAsked(Event, kind="asked"):
    """The campaign waits for the operator's answer."""

    question: str


@dataclass(frozen=True, kw_only=True)
class OperatorAnswered(Event, kind="answered"):
    """The operator has answered."""

    answer: str


@dataclass(frozen=True, kw_only=True)
class SpecimenIdentified(Event, kind="identified"):
    """Which specimen is at a place.

    Attributes
    ----------
    specimen
        The protocol's ``specimen`` section.
    why_unidentified
        Why it has no id of its own and is shot into quarantine; empty when it has one.
    """

    place: str
    specimen: Mapping[str, str]
    why_unidentified: str


@dataclass(frozen=True, kw_only=True)
class StackStarted(Event, kind="shooting"):
    """A stack is shot into a new run folder."""

    stack: str
    folder: str
    specimen_id: str


@dataclass(frozen=True, kw_only=True)
class StackEnded(Event, kind="shot"):
    """A stack's run has ended.

    Attributes
    ----------
    completed
        Whether it is done; otherwise it is tried again or put into quarantine.
    reason
        A value of :class:`macrorail.states.FinishReason`.
    state
        The run's last state, where it did not complete.
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
    """A stack is shot after the others."""

    stack: str
    why: str


@dataclass(frozen=True, kw_only=True)
class StackSetAside(Event, kind="set_aside"):
    """A failed run folder was moved into quarantine; ``folder`` is where it is now."""

    stack: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class StackQuarantined(Event, kind="quarantined"):
    """A stack is not tried again."""

    stack: str
    why: str


@dataclass(frozen=True, kw_only=True)
class AlignmentShared(Event, kind="aligned_as"):
    """A stack's frames are aligned like those of the stack ``other``."""

    stack: str
    other: str


@dataclass(frozen=True, kw_only=True)
class AxisRetracted(Event, kind="retracted"):
    """The focus axis is far from the specimens, so that the stage can move."""

    position_um: float


@dataclass(frozen=True, kw_only=True)
class StageHomed(Event, kind="stage_homed"):
    """The stage has found its reference."""

    model: str


@dataclass(frozen=True, kw_only=True)
class StageMoved(Event, kind="staged"):
    """The stage has brought a specimen under the lens; ``None`` for an axis it does not have."""

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
