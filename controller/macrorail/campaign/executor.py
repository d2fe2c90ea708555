"""Carries out a campaign: moves the stage, asks the operator, shoots each stack as a run."""

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
from macrorail.campaign.progress import DONE, CampaignProgress, StackStatus
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

#: Number of attempts to reach a device between two runs. During a run, its policies apply.
_ATTEMPTS = 3
#: Run time between two attempts to reach a device, in seconds.
_BACK_OFF_S = 5.0
_SWITCH_TIMEOUT_S = 60.0


@dataclass
class CampaignExecutor:
    """Carries out the steps of a campaign; implements ``macrorail.campaign.runner.Executor``.

    Attributes
    ----------
    folder
        Campaign folder.
    campaign
        Plan of the campaign.
    progress
        Progress of the campaign.
    rig
        Description of the instrument.
    instrument
        The connected instrument.
    prompts
        Asks the operator for manual steps and ids.
    log_event
        Writes an event to the campaign's journal.
    systemd
        Receives the state of each run, for systemd.
    observer
        Receives messages, events and states.
    id_resolver
        Identifies specimens at positions without an id; ``None`` if all positions have an id.
    """

    folder: Path
    campaign: CampaignPlan
    progress: CampaignProgress
    rig: Rig
    instrument: Instrument
    prompts: OperatorPrompts
    log_event: Callable[[Event], Any]
    systemd: SystemdNotifier
    observer: RunObserver
    id_resolver: IdResolver | None = None

    def __post_init__(self) -> None:
        self._here = StagePosition()
        self._stage_is_ready = False

    # ----------------------------------------------- bringing the specimen under the lens

    def bring(self, task: StackTask, before: StackTask | None) -> None:
        """See ``Executor``."""
        self.prompts.at_work_on(task.key)
        self.observer.message(f"── {task.key}  {task.specimen.get('id', '')}".rstrip())
        try:
            self._bring(task, before)
        except OperatorStop:
            if self.instrument.stage is not None:
                # The stage may still be moving: reopen and home the stage before its next move.
                self._here, self._stage_is_ready = StagePosition(), False
                self.instrument.stage.close()
            self.prompts.refuse_if_skipped()
            raise

    def _bring(self, task: StackTask, before: StackTask | None) -> None:
        asked = manual_steps(task, before, self.rig)
        moves = self.instrument.stage is not None and not self._is_there(task.where)
        if moves or (asked and (before is None or before.place != task.place)):
            self._retract()
        if moves:
            self._move_stage(task)
        if asked:
            self.prompts.ask(f"{asked[0].upper()}{asked[1:]}")
        if task.switch:
            self._switch(task)
        if moves:
            self.instrument.clock.sleep(self.campaign.settle_s)

    def _is_there(self, where: StagePosition) -> bool:
        wanted, here = where.to_dict(), self._here.to_dict()
        return all(to is None or here[key] == to for key, to in wanted.items())

    def _retract(self) -> None:
        """Move the focus axis to its home switch, so that the stage cannot hit the lens."""
        axis = self.instrument.axis
        if axis.shares_camera:
            return
        for left in reversed(range(_ATTEMPTS)):
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

    def _move_stage(self, task: StackTask) -> None:
        stage = self.instrument.stage
        assert stage is not None, "only a stage can be moved"
        for left in reversed(range(_ATTEMPTS)):
            self._here = StagePosition()
            try:
                if not self._stage_is_ready:
                    model = stage.open()
                    stage.home()
                    self._stage_is_ready = True
                    self.log_event(StageHomed(model=model))
                reached = stage.move(task.where)
            except DeviceError as error:
                # The position is in doubt: reopen and home the stage before the next attempt.
                self._stage_is_ready = False
                stage.close()
                self._log_fault("stage", error)
                may_recover = not isinstance(error, RailAlarm | PositionInDoubt)
                self.observer.message(f"stage: {error}")
                if not left:
                    raise
                self.instrument.clock.sleep(_BACK_OFF_S if may_recover else 0.0)
                continue
            self._here = task.where
            self.log_event(StageMoved(stack=task.key, **reached.to_dict()))
            return

    def _switch(self, task: StackTask) -> None:
        try:
            done = subprocess.run(
                task.switch,
                shell=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SWITCH_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"'{task.switch}' did not end within {_SWITCH_TIMEOUT_S:g} s; the light for "
                f"{task.key} may be wrong"
            ) from error
        if done.returncode != 0:
            output = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            raise DeviceError(
                f"'{task.switch}' ended with {done.returncode}: {output[0]}; the light for "
                f"{task.key} may be wrong"
            )
        self.log_event(LightSwitched(stack=task.key, command=task.switch))

    def _log_fault(self, part: str, error: DeviceError) -> None:
        self.log_event(CampaignFault(part=part, error=type(error).__name__, message=str(error)))

    # ------------------------------------------------------------- identifying the specimen

    def identify(self, task: StackTask) -> Identified:
        """See ``Executor``."""
        if self.id_resolver is None:
            raise IdentityError(
                f"{task.place} has no id, and the campaign has no 'identity' section"
            )

        def ask(question: str) -> str:
            return self.prompts.ask(question, takes_text=True)

        identity = self.id_resolver.identify(task.place, ask, lambda: self._look(task))
        if identity.quarantined:
            self.observer.message(f"QUARANTINE: shooting as {identity.id}. {identity.quarantined}")
        return Identified(dict(identity.specimen), identity.quarantined or "")

    def _look(self, task: StackTask) -> Path:
        """Take a picture of the label, save it in the campaign folder, and return its path."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._look_once(task)
            except DeviceError as error:
                self._log_fault("camera", error)
                self.instrument.clock.sleep(_BACK_OFF_S)
        return self._look_once(task)

    def _look_once(self, task: StackTask) -> Path:
        labels = self.folder / "labels"
        labels.mkdir(exist_ok=True)
        wanted, _ = plan_stack(task, self.rig, {})
        axis, camera = self.instrument.axis, self.instrument.camera
        settings = self.campaign.identity_settings
        number = len(list(labels.glob(f"{task.place}-*"))) + 1
        try:
            camera.open()
            camera.configure(wanted.camera_settings)
            if settings is not None and settings.position_um is not None:
                axis.open(wanted.closest_approach_um)
                axis.home()
                axis.start_move(settings.position_um)
                axis.finish_move()
            return camera.collect(camera.expose(labels / f"{task.place}-{number}")).path
        finally:
            axis.close()
            camera.close()

    # ------------------------------------------------------------------ shooting the stack

    def shoot(
        self, task: StackTask, specimen: dict[str, str], folder: str, resumes: bool
    ) -> RunEnd:
        """See ``Executor``."""
        run = self.folder / folder
        if resumes and (run / "journal.jsonl").exists():
            job, entries = load_interrupted(run)
            last = entries[-1].event if entries else None
            if isinstance(last, RunEnded) and last.state == State.DONE.value:
                return RunEnd(State.DONE, FinishReason(last.reason), last.message)
            job = prepare_resume(job, entries, accept_scene=False)
            report_progress(job, self.observer)
        else:
            job = self._begin(task, specimen, run)
            if run.name == run_name(task, specimen["id"]):
                self._share_alignment(task, run)
        # Use the campaign's rig, which has the connected bench, not the rig in the run folder.
        end, _ = shoot(replace(job, rig=self.rig), self.instrument, self.systemd, self.observer)
        if isinstance(end.error, OperatorStop):
            self.prompts.refuse_if_skipped()
        return end

    def _share_alignment(self, task: StackTask, run: Path) -> None:
        """Copy the first variant's alignment, if it exists, into the run folder of this variant.

        Slices under another light show other edges but have the same geometry. A second
        attempt computes its own alignment.
        """
        first = self._first_variant(task)
        known = None if first is None else run_alignment(self.folder / first.folder)
        if first is not None and known is not None:
            save_alignment(run / ALIGNMENT, known)
            self.log_event(AlignmentShared(stack=task.key, other=first.task.key))
            self.observer.message(f"the frames use the alignment of {first.task.key}")

    def _first_variant(self, task: StackTask) -> StackStatus | None:
        """Return the first variant of the same view of the same specimen, if it is done."""
        for status in self.progress.statuses.values():
            other = status.task
            if (other.place, other.view) == (task.place, task.view) and status.state == DONE:
                return status
        return None

    def _begin(self, task: StackTask, specimen: dict[str, str], run: Path) -> RunJob:
        first = self._first_variant(task)
        if first is not None:
            task = _with_range_of(task, self.folder / first.folder)
        wanted, plan = plan_stack(task, self.rig, specimen)
        (run / "frames").mkdir(parents=True, exist_ok=True)
        write_whole(run / "protocol.yaml", as_yaml(task.protocol_with(specimen)))
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
        for left in reversed(range(_ATTEMPTS)):
            trouble = None
            for name, device in (("rail", axis), ("camera", camera)):
                try:
                    device.open()
                except DeviceError as error:
                    trouble = f"the {name} no longer answers: {error}"
                finally:
                    device.close()
            if trouble is None or not left:
                break
            self.instrument.clock.sleep(_BACK_OFF_S)
        return trouble


def _with_range_of(task: StackTask, first: Path) -> StackTask:
    """Return the task; a range to search for is replaced by the first variant's range."""
    written = task.protocol.get("range")
    if written != "auto" and not (isinstance(written, dict) and "search" in written):
        return task
    plan = json.loads((first / "plan.json").read_text(encoding="utf-8"))
    found = {"near": f"{plan['near_um']!r} um", "far": f"{plan['far_um']!r} um"}
    return replace(task, protocol={**task.protocol, "range": found})
