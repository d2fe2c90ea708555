"""Shoots one plan, slice by slice: move, settle, collect the frame before, expose.

This is the life of a slice, top to bottom. ``states.py`` judges each step, the journal is written
before each act, and the devices are whatever satisfies ``interfaces.py``. An exposure is over
before its frame has arrived, so on a rail the axis moves on and settles meanwhile; a lens is
driven through the camera, so there each frame is collected before the next move.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from macrorail.clock import Clock
from macrorail.devices.frame_settings import FramesAsked, FrameSettingsCheck
from macrorail.devices.interfaces import Camera, Exposure, FocusAxis
from macrorail.errors import (
    AlignError,
    DeviceError,
    DeviceLost,
    DeviceTimeout,
    FrameError,
    FrameMissing,
    JournalError,
    MacrorailError,
    NotVerified,
    OverlapError,
    SceneMoved,
    WorkerCrashed,
)
from macrorail.frame import Frame, set_aside, verify_frame
from macrorail.planning.plan import Plan
from macrorail.run_folder.events import (
    AxisMoved,
    CleanupFailed,
    CoverageAssessed,
    Event,
    ExposureDiscarded,
    ExposureIntended,
    ExposureMade,
    FrameRejected,
    Part,
    RunEnded,
    SliceCounted,
    SliceLeftOut,
    SlicesRelocated,
)
from macrorail.run_folder.journal import Journal
from macrorail.running.commands import Commands
from macrorail.running.devices import Devices
from macrorail.running.ending import RunEnd, end_of
from macrorail.running.frame_gate import FrameGate
from macrorail.running.interfaces import FrameProof, FrameStream
from macrorail.running.lost_steps import LostStepMonitor
from macrorail.running.pauses import Pauses
from macrorail.running.recovery import FaultRecovery
from macrorail.running.resume import CountedSlice, OrphanFrame, RunProgress, Target, nothing_done
from macrorail.running.scene_recheck import SceneRecheck
from macrorail.running.shutter_lag import ShutterLagCheck
from macrorail.running.storage_retry import StorageRetry
from macrorail.running.supervision import RunSupervision
from macrorail.running.worklist import Worklist
from macrorail.states import FinishReason, RunStateMachine, State, Trigger

#: How often the gaps of a sweep are filled: enough for a passing fault, and never for ever.
_ROUNDS = 3
#: Over this many slices the axis moves off to see whether the shutter opens too late: enough for a
#: difference in focus, and few enough to see a small part of it.
_LAG_SLICES = 6
#: What can go wrong with a single picture: the camera, its file, or its line in the journal.
_OF_A_PICTURE = (DeviceError, FrameError, JournalError)
#: After these the shutter has opened, and the frame may be on the camera's card.
_LINK_LOST = (DeviceLost, DeviceTimeout, WorkerCrashed)


@dataclass(frozen=True)
class _Pending:
    """An exposure whose frame is still on its way."""

    target: Target
    achieved_um: float
    exposure: Exposure


@dataclass(frozen=True)
class RunTask:
    """What a run is to shoot, and how.

    Attributes
    ----------
    plan
        Checked: every slice within travel and closest approach.
    settings
        Camera settings by canonical name.
    settle_s
        World time to wait after each move before the shutter opens.
    closest_approach_um
        A tighter limit than the rig's own, for this specimen.
    progress
        How far this run came before it was interrupted; ``None`` for a new one.
    frames
        What the frames have to say about themselves; ``None`` compares them with ``settings``.
    """

    plan: Plan
    settings: Mapping[str, str]
    settle_s: float
    closest_approach_um: float | None = None
    progress: RunProgress | None = None
    frames: FramesAsked | None = None


class Runner:
    """Carries out one task with one axis and one camera.

    Parameters
    ----------
    task
        What to shoot.
    axis, camera, clock
        Built, not yet opened.
    journal
        Open; the frames go into ``frames/`` beside it.
    stream
        Takes each counted frame; ``None`` shoots without align/blend.
    proof
        Judges each counted frame before it is fused, and reports what the images show to be
        missing; ``None`` trusts the achieved positions.
    supervision
        What supervises the run; nothing does when ``None``.
    """

    def __init__(
        self,
        task: RunTask,
        axis: FocusAxis,
        camera: Camera,
        clock: Clock,
        journal: Journal,
        stream: FrameStream | None = None,
        proof: FrameProof | None = None,
        supervision: RunSupervision | None = None,
    ) -> None:
        self._plan = task.plan
        self._settle_s = task.settle_s
        self._axis = axis
        self._camera = camera
        self._clock = clock
        self._journal = journal
        folder = journal.path.parent
        self._frames = folder / "frames"
        self._supervision = supervision = supervision or RunSupervision()
        self._machine = RunStateMachine(lambda _, state: supervision.on_state(state))
        self._progress = task.progress or nothing_done(task.plan)
        targets, numbers = list(self._progress.targets), self._progress.numbers
        self._work = Worklist(task.plan, targets, numbers, self._log_event)
        self._commands = supervision.commands or Commands(clock)
        self._devices = Devices(
            axis,
            camera,
            task.plan,
            task.settings,
            task.closest_approach_um,
            self._log_event,
            self._progress.found_settings,
            self._progress.body,
        )
        pauses = Pauses(self._commands, supervision.watches, clock, supervision.pause_at_most_s)
        self._storage = StorageRetry(journal, self._machine, pauses, supervision.alarm)
        self._recovery = FaultRecovery(self._machine, clock, self._devices, pauses, self._log_event)
        self._scene: SceneRecheck | None = None
        if supervision.scene is not None:
            self._scene = SceneRecheck(
                supervision.scene,
                folder / "checks",
                self._devices,
                self._machine,
                clock,
                task.settle_s,
                self._log_event,
            )
        self._lag = ShutterLagCheck(
            supervision.lag,
            folder / "checks",
            self._devices,
            self._machine,
            clock,
            task.settle_s,
            self._verify,
            self._log_event,
        )
        # The axis waits for each frame: when the shutter opens is not known.
        self._waits_for_frames = False
        self._lost_steps = LostStepMonitor(axis, self._log_event)
        journal.listen(self._lost_steps.on_entry)
        self._last_good: CountedSlice | None = None
        self._hashes: set[str] = set()
        asked = task.frames or FramesAsked(task.settings, drifts=axis.shares_camera)
        self._frame_settings = FrameSettingsCheck(asked)
        self._pending: _Pending | None = None
        self._gate = FrameGate(
            proof, stream, clock, self._log_event, self._reject, self._commands.pause
        )

    # ------------------------------------------------------------------ the run, top to bottom

    def run(self) -> RunEnd:
        """Shoot every slice, fuse, and leave the instrument safe, also after an error."""
        try:
            self._take_over()
            if self._work or self._work.missing_um() or self._images_want_more():
                self._prepare()
                self._sweep()
            end = self._finish()
        except MacrorailError as error:
            end = self._cut_short(error)
        except BaseException:
            self._make_safe(RunEnd(State.FAILED, FinishReason.BUG, "an error of macrorail itself"))
            raise
        self._make_safe(end)
        return end

    def _take_over(self) -> None:
        """Give the stream what an interrupted run has finished, in the order it was fused."""
        self._machine.step(Trigger.PREPARE)
        for done in self._progress.counted:
            self._work.shot(done.target.number, done.achieved_um)
            self._last_good = done
            self._hashes.add(done.sha256)
            self._frame_settings.adopt(done.frame)
            self._gate.take(done, self._plan.dof_um_at(done.achieved_um))
        orphan = self._progress.orphan
        if orphan is not None:
            self._adopt(orphan)
        for target in self._progress.in_doubt:
            self._log_event(FrameRejected(slice=target.number, attempt=target.attempt))
        for target in self._progress.targets:
            if target.attempt > 1:  # a frame rejected just before the interruption
                self._set_aside(replace(target, attempt=target.attempt - 1))
        discarded = self._progress.discarded
        if discarded is not None:
            self._set_aside(discarded)
            self._log_event(ExposureDiscarded(slice=discarded.number, attempt=discarded.attempt))

    def _adopt(self, orphan: OrphanFrame) -> None:
        """Count a frame that was shot before the interruption, unless its settings are others."""
        target = orphan.target
        try:
            self._frame_settings.check(orphan.frame)
        except DeviceError:
            self._set_aside(target)
            self._log_event(ExposureDiscarded(slice=target.number, attempt=target.attempt))
            self._work.put_first_again(target)
            return
        self._work.shot(target.number, orphan.achieved_um)
        self._count(target, orphan.achieved_um, orphan.frame, adopted=True)

    def _prepare(self) -> None:
        """Open both devices and check them against the plan; only then home."""
        while True:
            try:
                self._devices.open()
                self._work.resolution_um = self._devices.resolution_um
                break
            except DeviceError as fault:
                self._recovery.handle(self._devices.busy_with, fault)
        self._recovery.scene_in_doubt = self._last_good is not None

    def _sweep(self) -> None:
        """Shoot until nothing is left to shoot and no gap is left to fill."""
        self._check_shutter_lag()
        for _ in range(_ROUNDS):
            self._shoot_all()
            missing_um = self._work.missing_um()
            if not missing_um:
                break
            self._work.insert(missing_um, why="not covered at the end of the sweep")
        self._shoot_all()
        # First the axis's own count: what it puts in doubt is known at once, and for certain.
        while self._lost_steps_want_more(at_the_end=True) or self._images_want_more():
            self._shoot_all()

    def _shoot_all(self) -> None:
        """Shoot what is queued, and again what turns out to be no good."""
        while self._work or self._pending is not None:
            self._take_next()
            if not self._work and self._pending is None:
                self._gate.wait()

    def _take_next(self) -> None:
        """One slice: move, settle, collect the frame before, expose."""
        self._check_requests()
        self._lost_steps_want_more()
        if self._axis.shares_camera or self._waits_for_frames or not self._work:
            self._collect_frame()
            if not self._work:
                return
        target = self._work.take_first()
        achieved_um = self._move(target)
        if achieved_um is None:
            return
        if self._fill_gap_before(target, achieved_um):
            return
        self._settle()
        # In the queue meanwhile: should the slice before be lost, that one comes first.
        self._work.put_first(target)
        if self._collect_frame():
            self._work.remove(target)
            self._expose(target, achieved_um)

    # ------------------------------------------------------------------------- its single steps

    def _check_requests(self) -> None:
        """Between slices: requests of operator and watches, and whether the scene is unchanged."""
        if not self._recovery.wanted and not self._recovery.scene_in_doubt:
            return
        if self._collect_frame():
            self._recovery.check_stop()
            self._recovery.check_requests()
            self._recheck_scene()

    def _recheck_scene(self) -> None:
        """After an interruption: compare a new frame with the last good one."""
        while self._recovery.scene_in_doubt and self._scene and self._last_good:
            try:
                self._scene.check(self._last_good)
                self._recovery.scene_in_doubt = False
            except SceneMoved as fault:
                self._recovery.handle(Part.SCENE, fault)
            except FrameError as fault:
                self._recovery.handle(Part.STORAGE, fault)
            except DeviceError as fault:
                self._recovery.handle(self._scene.busy_with, fault)
        self._recovery.scene_in_doubt = False

    def _check_shutter_lag(self) -> None:
        """Before the first slice: find out whether the axis has to wait for each frame."""
        slices = self._plan.slices
        first_um, next_um = slices[0].target_um, slices[:_LAG_SLICES][-1].target_um
        while not self._devices.reports_exposure:
            try:
                self._waits_for_frames = not self._lag.is_certain(first_um, next_um)
                return
            except FrameError as fault:
                self._recovery.handle(Part.STORAGE, fault)
            except DeviceError as fault:
                self._recovery.handle(self._lag.busy_with, fault)

    def _lost_steps_want_more(self, at_the_end: bool = False) -> bool:
        """Check the axis's step count when it is due; whether anything is to be shot again."""
        if not self._lost_steps.is_due(at_the_end):
            return False
        self._collect_frame()
        self._machine.step(Trigger.RECOVER)
        try:
            lost = self._lost_steps.check()
        except DeviceError as fault:
            self._recovery.handle(Part.AXIS, fault)
            return bool(self._work)
        self._machine.step(Trigger.PREPARE)
        if lost is not None:
            self._gate.wait()
            doubtful = [target for target in lost.targets if self._work.is_shot(target.number)]
            if not self._relocate(doubtful, lost.error_um):
                self._shoot_again(doubtful)
            self._lost_steps.fail_if_repeated()
        return bool(self._work)

    def _relocate(self, doubtful: list[Target], error_um: float) -> bool:
        """Keep slices that were shot elsewhere than the journal says, if the images show where;
        only what is missing between them is shot."""
        true_um = self._gate.relocate([target.number for target in doubtful], error_um)
        if not true_um:
            return False
        self._log_event(SlicesRelocated(slices=list(true_um), achieved_um=list(true_um.values())))
        for number, achieved_um in true_um.items():
            self._work.shot(number, achieved_um)
        if self._last_good is not None and self._last_good.target.number in true_um:
            achieved_um = true_um[self._last_good.target.number]
            self._last_good = replace(self._last_good, achieved_um=achieved_um)
        missing_um = [] if self._work else self._work.missing_um()
        if missing_um:
            self._work.insert(missing_um, why="the axis had lost steps")
        return True

    def _shoot_again(self, doubtful: list[Target]) -> None:
        """Take back slices that may have been shot elsewhere than the journal says."""
        self._gate.withdraw(target.number for target in doubtful)
        # The frame to compare the scene with may be from another position than recorded.
        self._last_good = None
        for target in reversed(doubtful):
            self._reject(target)

    def _reject(self, target: Target) -> None:
        """Set the frame of a counted slice aside; its slice is first in the queue again."""
        self._log_event(FrameRejected(slice=target.number, attempt=target.attempt))
        self._work.not_shot(target.number)
        self._set_aside(target)
        self._work.put_first_again(target)

    def _move(self, target: Target) -> float | None:
        """Move there; ``None`` when the axis failed, and the slice is in the queue again."""
        self._machine.step(Trigger.MOVE)
        try:
            self._axis.start_move(target.position_um)
            achieved_um = self._axis.finish_move()
        except DeviceError as fault:
            self._work.put_first(target)
            # First what the camera holds: recovery can take minutes.
            self._collect_frame()
            self._recovery.handle(Part.AXIS, fault, target)
            return None
        self._log_event(
            AxisMoved(slice=target.number, target_um=target.position_um, achieved_um=achieved_um)
        )
        self._machine.step(Trigger.SETTLE)
        return achieved_um

    def _fill_gap_before(self, target: Target, achieved_um: float) -> bool:
        """Go back first when the axis came to rest too far from the slice before."""
        missing_um = self._work.missing_before_um(achieved_um) if target.fills_left else []
        if not missing_um:
            return False
        self._work.put_first(replace(target, fills_left=target.fills_left - 1))
        self._work.insert(missing_um, why="the axis came to rest too far from the slice before")
        return True

    def _settle(self) -> None:
        self._clock.sleep(self._settle_s)

    def _expose(self, target: Target, achieved_um: float) -> None:
        stem = self._frames / f"{target.number:04d}"
        self._log_event(
            ExposureIntended(
                slice=target.number,
                attempt=target.attempt,
                target_um=target.position_um,
                achieved_um=achieved_um,
                dof_um=self._plan.dof_um_at(achieved_um),
            )
        )
        self._machine.step(Trigger.EXPOSE)
        try:
            exposure = self._camera.expose(stem)
        except _OF_A_PICTURE as fault:
            self._recover_picture(fault, target)
            return
        self._log_event(
            ExposureMade(
                slice=target.number,
                attempt=target.attempt,
                exposure=exposure.number,
                started_s=exposure.started_s,
                ended_s=exposure.ended_s,
            )
        )
        self._pending = _Pending(target, achieved_um, exposure)
        self._work.shot(target.number, achieved_um)

    def _collect_frame(self) -> bool:
        """Wait for the frame that is on its way, check it, count its slice, stream it.

        Returns
        -------
        bool
            False when the frame is no good; its slice is first in the queue again.
        """
        if self._pending is None:
            return True
        pending, target = self._pending, self._pending.target
        try:
            frame = self._receive(pending)
        except _OF_A_PICTURE as fault:
            self._pending = None
            self._work.not_shot(target.number)
            self._set_aside(target)
            if isinstance(fault, _LINK_LOST):
                self._fetch_after(fault, pending)
            else:
                self._recover_picture(fault, target)
            return False
        self._count(target, pending.achieved_um, frame)
        return True

    def _receive(self, pending: _Pending) -> Frame:
        self._machine.step(Trigger.COLLECT)
        frame = self._camera.collect(pending.exposure)
        self._machine.step(Trigger.VERIFY)
        self._verify(frame)
        return frame

    def _verify(self, frame: Frame) -> None:
        """Whole, never seen before, and exposed as asked.

        Noise never repeats, so the same bytes are an old frame that the camera has handed out once
        more, perhaps after it was opened again.
        """
        verify_frame(frame)
        if frame.sha256 in self._hashes:
            raise FrameMissing(
                f"{frame.camera_name} is an earlier frame of this run once more, to the last byte; "
                f"drain the camera and repeat the exposure"
            )
        self._hashes.add(frame.sha256)
        self._frame_settings.check(frame, self._devices.set_by_hand)

    def _count(
        self, target: Target, achieved_um: float, frame: Frame, adopted: bool = False
    ) -> None:
        self._pending = None
        self._recovery.came_through()
        self._last_good = CountedSlice(target, achieved_um, frame.path, frame.sha256)
        dof_um = self._plan.dof_um_at(achieved_um)
        self._log_event(
            SliceCounted(
                slice=target.number,
                attempt=target.attempt,
                target_um=target.position_um,
                achieved_um=achieved_um,
                dof_um=dof_um,
                adopted=adopted,
                frame=f"{frame.path.parent.name}/{frame.path.name}",
                sha256=frame.sha256,
                size_bytes=frame.size_bytes,
                camera_name=frame.camera_name,
            )
        )
        self._gate.take(self._last_good, dof_um)

    def _images_want_more(self) -> bool:
        """Queue what the images show to be bad or missing; whether there is anything."""
        self._gate.wait()
        if not self._work:
            missing_um, why = self._gate.missing()
            if missing_um:
                self._work.insert(missing_um, why)
        return bool(self._work)

    def _finish(self) -> RunEnd:
        """Prove the coverage, wait for the picture."""
        self._machine.step(Trigger.FINISH)
        coverage = self._work.coverage()
        images = self._gate.evidence()
        disproven = images.get("proven") is False
        proven = coverage.proven and not disproven
        self._log_event(
            CoverageAssessed(**{**coverage.to_dict(), "proven": proven, "images": images or None})
        )
        left_out = self._gate.fuse()
        self._machine.step(Trigger.COMPLETE)
        if not proven:
            unproven = (
                OverlapError(0.0, 0.0, f"coverage is not proven by the images: {images['reason']}")
                if coverage.proven
                else self._work.unproven()
            )
            return RunEnd(State.DONE, FinishReason.COVERAGE_NOT_PROVEN, str(unproven), unproven)
        if left_out:
            misfit = AlignError(
                f"the picture lacks slice(s) {', '.join(map(str, left_out))}: they could not be "
                f"aligned (the journal says why). Their frames are on disk"
            )
            return RunEnd(State.DONE, FinishReason.STACKING_FAILED, str(misfit), misfit)
        if images and images.get("proven") is None:
            unverified = NotVerified(
                f"the slices overlap by the positions that the axis reports, but the images did "
                f"not confirm it: {images.get('reason') or 'they show too little texture'}. Look "
                f"at the picture, or write 'proof: {{images: off}}' where positions are enough"
            )
            return RunEnd(State.DONE, FinishReason.NOT_VERIFIED, str(unverified), unverified)
        return RunEnd(State.DONE, FinishReason.COMPLETED)

    # ------------------------------------------------------------------------------ when it fails

    def _recover_picture(self, fault: MacrorailError, target: Target) -> None:
        """Handle a picture's fault; its slice is first in the queue, or is left out for now.

        A capture is never repeated blindly: the camera is drained or opened again first, and what
        it still held is in the journal.
        """
        part = Part.CAMERA if isinstance(fault, DeviceError) else Part.STORAGE
        if self._recovery.handle(part, fault, target):
            self._work.put_first_again(target)
            return
        self._leave_out(fault, target)

    def _fetch_after(self, fault: MacrorailError, pending: _Pending) -> None:
        """Handle a connection that was lost after the shutter: fetch the frame from the card, or
        shoot its slice again when it is not there."""
        target = pending.target
        while self._recovery.handle(Part.CAMERA, fault, target):
            try:
                frame = self._receive(pending)
            except _LINK_LOST as again:
                fault = again
            except _OF_A_PICTURE:
                self._set_aside(target)
                self._machine.step(Trigger.RECOVER)
                self._machine.step(Trigger.PREPARE)
                self._work.put_first_again(target)
                return
            else:
                self._work.shot(target.number, pending.achieved_um)
                self._count(target, pending.achieved_um, frame)
                return
        self._leave_out(fault, target)

    def _leave_out(self, fault: MacrorailError, target: Target) -> None:
        self._log_event(SliceLeftOut(slice=target.number, why=str(fault)))
        self._work.leave_gap_for_the_end()

    def _cut_short(self, error: MacrorailError) -> RunEnd:
        """Bring the axis to rest first, then save the frame that was on its way."""
        self._storage.over = True
        halt = self._axis.halt if self._commands.is_emergency else self._axis.stop
        for act in (halt, self._save_pending):
            try:
                act()
            except MacrorailError as trouble:
                with suppress(JournalError):
                    self._log_event(CleanupFailed(message=str(trouble)))
        trigger, reason = end_of(error)
        if not self._machine.ended:
            self._machine.step(trigger)
        return RunEnd(self._machine.state, reason, str(error), error)

    def _save_pending(self) -> None:
        if self._pending is not None:
            frame = self._camera.collect(self._pending.exposure)
            self._verify(frame)
            self._count(self._pending.target, self._pending.achieved_um, frame)

    def _make_safe(self, end: RunEnd) -> None:
        """Release both devices and write the end into the journal."""
        self._storage.over = True
        # After a fault of its own, or an operator's stop, the axis moves no more.
        may_park = end.state is State.DONE or end.reason is FinishReason.PAUSED_TOO_LONG
        park = self._supervision.park and may_park
        troubles = [*self._devices.release(park), *self._supervision.switch_off()]
        ended = RunEnded(
            state=end.state.value,
            reason=end.reason.value,
            message=end.message,
            troubles=troubles,
        )
        # The caller reports what ended the run, if the journal can take no more.
        with suppress(JournalError):
            self._log_event(ended)

    # ---------------------------------------------------------------------------------- small help

    def _set_aside(self, target: Target) -> None:
        self._storage.call(lambda: set_aside(self._frames, target.number, target.attempt))

    def _log_event(self, event: Event) -> None:
        self._storage.call(lambda: self._journal.append(event))
