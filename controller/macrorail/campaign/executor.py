"""Does what a campaign decides: moves the stage, asks the operator, shoots each stack as a run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from macrorail.batch.frames import run_alignment
from macrorail.campaign.forecast import manual_steps, plan_stack
from macrorail.campaign.plan import CampaignPlan, StackTask
from macrorail.campaign.progress import DONE, Progress, StackStatus
from macrorail.campaign.prompts import OperatorPrompts
from macrorail.campaign.runner import Identified, run_name
from macrorail.config.rig import Rig
from macrorail.config.stage import StagePosition
from macrorail.devices.connect import Instrument
from macrorail.errors import DeviceError, IdentityError, OperatorStop, PositionInDoubt, RailAlarm
from macrorail.identity.protocol_copy import as_yaml
from macrorail.identity.resolver import IdResolver
from macrorail.quantity import format_length
from macrorail.run_folder.campaign_folder import QUARANTINE
from macrorail.run_folder.events import (
    AlignmentShared,
    AxisRetracted,
    CampaignFault,
    Event,
    LightSwitched,
    RunEnded,
    StageHomed,
    StageMoved,
)
from macrorail.run_folder.journal import write_whole
from macrorail.running.ending import RunEnd
from macrorail.session.job import RunJob, shoot
from macrorail.session.observer import RunObserver
from macrorail.session.resume import load_interrupted, prepare_resume, report_progress
from macrorail.session.systemd import SystemdNotifier
from macrorail.stacking.alignment import ALIGNMENT, save_alignment
from macrorail.states import FinishReason, State

#: How often a device outside of a run is tried; a run has its own policies.
_TRIES = 3
#: World time between two tries to reach a device that may be coming back.
_BACK_OFF_S = 5.0
_SWITCH_TIMEOUT_S = 60.0


@dataclass
class CampaignExecutor:
    """A ``macrorail.campaign.runner.Executor``.

    Attributes
    ----------
    folder
        The campaign's.
    work, progress, rig, instrument
        What to do, how far it is, with what.
    prompts
        Where the operator answers.
    log_event
        Writes to the campaign's journal.
    systemd, observer
        Learn how it goes.
    registrar
        Gives ids to positions that have none; ``None`` where all have one.
    """

    folder: Path
    work: CampaignPlan
    progress: Progress
    rig: Rig
    instrument: Instrument
    prompts: OperatorPrompts
    log_event: Callable[[Event], Any]
    systemd: SystemdNotifier
    observer: RunObserver
    registrar: IdResolver | None = None

    def __post_init__(self) -> None:
        self._here = StagePosition()
        self._stage_is_ready = False

    # ------------------------------------------------------------------ the specimen under the lens

    def bring(self, item: StackTask, before: StackTask | None) -> None:
        """See ``Executor``."""
        self.prompts.at_work_on(item.key)
        self.observer.message(f"── {item.key}  {item.specimen.get('id', '')}".rstrip())
        try:
            self._bring(item, before)
        except OperatorStop:
            if self.instrument.stage is not None:
                # It may be under way; it is opened and homed anew before it moves again.
                self._here, self._stage_is_ready = StagePosition(), False
                self.instrument.stage.close()
            self.prompts.refuse_if_skipped()
            raise

    def _bring(self, item: StackTask, before: StackTask | None) -> None:
        asked = manual_steps(item, before, self.rig)
        moves = self.instrument.stage is not None and not self._is_there(item.where)
        if moves or (asked and (before is None or before.place != item.place)):
            self._retract()
        if moves:
            self._move_stage(item)
        if asked:
            self.prompts.ask(f"{asked[0].upper()}{asked[1:]}")
        if item.switch:
            self._switch(item)
        if moves:
            self.instrument.clock.sleep(self.work.settle_s)

    def _is_there(self, where: StagePosition) -> bool:
        wanted, here = where.to_dict(), self._here.to_dict()
        return all(to is None or here[key] == to for key, to in wanted.items())

    def _retract(self) -> None:
        """Far from the specimen, proven by the home switch: nothing is ever dragged into glass."""
        axis = self.instrument.axis
        if axis.shares_camera:
            return
        for left in reversed(range(_TRIES)):
            try:
                axis.open()
                self.log_event(AxisRetracted(position_um=axis.home()))
                return
            except DeviceError as error:
                self._log_fault("axis", error)
                if not left:
                    raise
            finally:
                axis.close()
            self.instrument.clock.sleep(_BACK_OFF_S)

    def _move_stage(self, item: StackTask) -> None:
        stage = self.instrument.stage
        assert stage is not None, "only a stage can be moved"
        for left in reversed(range(_TRIES)):
            self._here = StagePosition()
            try:
                if not self._stage_is_ready:
                    told = stage.open()
                    stage.home()
                    self._stage_is_ready = True
                    self.log_event(StageHomed(model=told))
                reached = stage.move(item.where)
            except DeviceError as error:
                # It does not know where it is any more: closed, opened and homed before the next.
                self._stage_is_ready = False
                stage.close()
                self._log_fault("stage", error)
                passing = not isinstance(error, RailAlarm | PositionInDoubt)
                self.observer.message(f"stage: {error}")
                if not left:
                    raise
                self.instrument.clock.sleep(_BACK_OFF_S if passing else 0.0)
                continue
            self._here = item.where
            self.log_event(StageMoved(stack=item.key, **reached.to_dict()))
            return

    def _switch(self, item: StackTask) -> None:
        try:
            done = subprocess.run(
                item.switch,
                shell=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SWITCH_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"'{item.switch}' did not end in {_SWITCH_TIMEOUT_S:g} s; the light of "
                f"{item.key} is in doubt"
            ) from error
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            raise DeviceError(
                f"'{item.switch}' ended with {done.returncode}: {words[0]}; the light of "
                f"{item.key} is in doubt"
            )
        self.log_event(LightSwitched(stack=item.key, command=item.switch))

    def _log_fault(self, part: str, error: DeviceError) -> None:
        self.log_event(CampaignFault(part=part, error=type(error).__name__, message=str(error)))

    # ------------------------------------------------------------------------- which one it is

    def identify(self, item: StackTask) -> Identified:
        """See ``Executor``."""
        if self.registrar is None:
            raise IdentityError(f"{item.place} has no id, and nothing says where it comes from")

        def ask(question: str) -> str:
            return self.prompts.ask(question, takes_text=True)

        identity = self.registrar.identify(item.place, ask, lambda: self._look(item))
        if identity.quarantined:
            self.observer.message(f"QUARANTINE: shooting as {identity.id}. {identity.quarantined}")
        return Identified(dict(identity.specimen), identity.quarantined or "")

    def _look(self, item: StackTask) -> Path:
        """A picture of the label, kept in the campaign's folder."""
        for _ in range(_TRIES - 1):
            try:
                return self._look_once(item)
            except DeviceError as error:
                self._log_fault("camera", error)
                self.instrument.clock.sleep(_BACK_OFF_S)
        return self._look_once(item)

    def _look_once(self, item: StackTask) -> Path:
        labels = self.folder / "labels"
        labels.mkdir(exist_ok=True)
        wanted, _ = plan_stack(item, self.rig, {})
        axis, camera = self.instrument.axis, self.instrument.camera
        settings = self.work.identity_settings
        number = len(list(labels.glob(f"{item.place}-*"))) + 1
        try:
            camera.open()
            camera.configure(wanted.camera_settings)
            if settings is not None and settings.position_um is not None:
                axis.open(wanted.closest_approach_um)
                axis.home()
                axis.start_move(settings.position_um)
                axis.finish_move()
            return camera.collect(camera.expose(labels / f"{item.place}-{number}")).path
        finally:
            axis.close()
            camera.close()

    # ------------------------------------------------------------------------------ its stack

    def shoot(
        self, item: StackTask, specimen: dict[str, str], folder: str, goes_on: bool
    ) -> RunEnd:
        """See ``Executor``."""
        run = self.folder / folder
        if goes_on and (run / "journal.jsonl").exists():
            job, entries = load_interrupted(run)
            last = entries[-1].event if entries else None
            if isinstance(last, RunEnded) and last.state == State.DONE.value:
                return RunEnd(State.DONE, FinishReason(last.reason), last.message)
            job = prepare_resume(job, entries, accept_scene=False)
            report_progress(job, self.observer)
        else:
            job = self._begin(item, specimen, run)
            if run.name == run_name(item, specimen["id"]):
                self._share_alignment(item, run)
        # The campaign's rig, not the folder's: its bench is the one that we hold.
        end, _ = shoot(replace(job, rig=self.rig), self.instrument, self.systemd, self.observer)
        if isinstance(end.error, OperatorStop):
            self.prompts.refuse_if_skipped()
        return end

    def _share_alignment(self, item: StackTask, run: Path) -> None:
        """Lay the frames of a variant as those of the first one that is done: the same slices under
        another light show other edges, but lie alike. A second try aligns for itself."""
        first = self._first_variant(item)
        known = None if first is None else run_alignment(self.folder / first.folder)
        if first is not None and known is not None:
            save_alignment(run / ALIGNMENT, known)
            self.log_event(AlignmentShared(stack=item.key, other=first.item.key))
            self.observer.message(f"its frames are laid as those of {first.item.key}")

    def _first_variant(self, item: StackTask) -> StackStatus | None:
        """The first variant of the same view of the same specimen, if it is done."""
        for standing in self.progress.statuses.values():
            other = standing.item
            if (other.place, other.view) == (item.place, item.view) and standing.state == DONE:
                return standing
        return None

    def _begin(self, item: StackTask, specimen: dict[str, str], run: Path) -> RunJob:
        first = self._first_variant(item)
        if first is not None:
            item = _with_range_of(item, self.folder / first.folder)
        wanted, plan = plan_stack(item, self.rig, specimen)
        (run / "frames").mkdir(parents=True, exist_ok=True)
        write_whole(run / "protocol.yaml", as_yaml(item.protocol_with(specimen)))
        write_whole(run / "rig.yaml", (self.folder / "rig.yaml").read_text(encoding="utf-8"))
        write_whole(run / "plan.json", json.dumps(plan.to_dict(), indent=2))
        if plan.slices:
            self.observer.message(
                f"{len(plan.slices)} slices from {format_length(plan.near_um)} to "
                f"{format_length(plan.far_um)}",
            )
        return RunJob(run, wanted, self.rig, plan)

    def set_aside(self, folder: str, why: str) -> str:
        """See ``Executor``."""
        run = self.folder / folder
        (self.folder / QUARANTINE).mkdir(exist_ok=True)
        aside = self.folder / QUARANTINE / run.name
        if run.exists():
            write_whole(run / "reason.txt", f"{why}\n")
            run.rename(aside)
        return f"{QUARANTINE}/{run.name}"

    def missing_device(self) -> str | None:
        """See ``Executor``."""
        axis, camera = self.instrument.axis, self.instrument.camera
        trouble: str | None = None
        for left in reversed(range(_TRIES)):
            trouble = None
            for name, device in (("rail", axis), ("camera", camera)):
                try:
                    device.open()
                except DeviceError as error:
                    trouble = f"the {name} does not answer any more: {error}"
                finally:
                    device.close()
            if trouble is None or not left:
                break
            self.instrument.clock.sleep(_BACK_OFF_S)
        return trouble


def _with_range_of(item: StackTask, first: Path) -> StackTask:
    """The variants of a view have the same slices, even where the first had to search for them."""
    written = item.protocol.get("range")
    if written != "auto" and not (isinstance(written, dict) and "search" in written):
        return item
    plan = json.loads((first / "plan.json").read_text(encoding="utf-8"))
    found = {"near": f"{plan['near_um']!r} um", "far": f"{plan['far_um']!r} um"}
    return replace(item, protocol={**item.protocol, "range": found})
