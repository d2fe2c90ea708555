"""Shoots one plan, slice by slice: move, settle, collect the previous frame, expose.

The methods are in the order in which a slice passes through them. ``states.py`` checks each step,
the journal is written before each action, and the devices implement ``interfaces.py``. An exposure
ends before its frame has arrived, so a rail moves on and settles while the frame is downloaded. A
lens is driven through the camera, so with a lens each frame is collected before the next move.
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
    PositionInDoubt,
    RailAlarm,
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

#: How often the gaps of a sweep are filled: enough for a passing fault, but limited.
_ROUNDS = 3
#: Number of slices by which the axis moves to find out whether the shutter opens too late: enough
#: for a difference in focus, and few enough to detect a small part of that difference.
_LAG_SLICES = 6
#: Errors that concern a single picture: errors of the camera, of the picture's file, or of its
#: journal entry.
_OF_A_PICTURE = (DeviceError, FrameError, JournalError)
#: Errors of a lost connection. If the shutter has opened, the frame may be on the camera's card.
_LINK_LOST = (DeviceLost, DeviceTimeout, WorkerCrashed)


@dataclass(frozen=True)
class _Pending:
    """An exposure whose frame has not arrived yet."""

    target: Target
    achieved_um: float
    exposure: Exposure


@dataclass(frozen=True)
class RunTask:
    """The slices and settings of a run.

    Attributes
    ----------
    plan
        Plan that has been checked: every slice is within travel and closest approach.
    settings
        Camera settings by canonical name.
    settle_s
        Run time in seconds to wait after each move before the shutter opens.
    closest_approach_um
        Highest position allowed for this specimen, micrometres, lower than the rig's own limit;
        with ``None`` the rig's limit applies.
    progress
        Progress of this run before it was interrupted; ``None`` for a new run.
    frames
        Settings and size that the frames must have; with ``None`` they are compared with
        ``settings``.
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
        Plan and settings of the run.
    axis, camera, clock
        Drivers that are constructed but not yet opened, and the clock of the run.
    journal
        Open journal; the frames are stored in ``frames/`` in the same folder.
    stream
        Receives each finished frame; with ``None`` frames are not fused.
    proof
        Checks each finished frame before it is fused, and reports missing slices from the images;
        with ``None`` the achieved positions are trusted.
    supervision
        Supervision of the run; ``None`` for none.
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
        # Whether the axis waits for each frame, because it is not known when the shutter opens.
        self._waits_for_frames = False
        self._lost_steps = LostStepMonitor(axis, self._log_event)
        journal.listen(self._lost_steps.on_entry)
        self._last_good: CountedSlice | None = None
        self._hashes: set[str] = set()
        asked = task.frames or FramesAsked(task.settings, drifts=axis.shares_camera)
        self._frame_settings = FrameSettingsCheck(asked)
        self._pending: _Pending | None = None
        # The slice exposed since the axis last moved.
        self._exposed_here: Target | None = None
        self._gate = FrameGate(
            proof, stream, clock, self._log_event, self._reject, self._commands.pause
        )

    # ------------------------------------------------------------------ the run, top to bottom

    def run(self) -> RunEnd:
        """Shoot every slice and fuse the frames; return how the run ended.

        The instrument is left safe, even after an error.
        """
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
        """Take over the slices that an interrupted run has finished, in the same order."""
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
        """Count a frame that was shot before the interruption, if its settings are as required.

        Otherwise its slice is shot again.
        """
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
        """Open both devices and check them against the plan; only then home the axis."""
        while True:
            try:
                self._devices.open()
                self._work.resolution_um = self._devices.resolution_um
                break
            except DeviceError as fault:
                self._recovery.handle(self._devices.busy_with, fault)
        self._recovery.scene_in_doubt = self._last_good is not None

    def _sweep(self) -> None:
        """Shoot until no slice is left to shoot and no gap is left to fill."""
        self._check_shutter_lag()
        for _ in range(_ROUNDS):
            self._shoot_all()
            missing_um = self._work.missing_um()
            if not missing_um:
                break
            self._work.insert(missing_um, why="not covered at the end of the sweep")
        self._shoot_all()
        # First check the axis's step count: its result is immediate and certain.
        while self._lost_steps_want_more(at_the_end=True) or self._images_want_more():
            self._shoot_all()
            # The images often add one slice at a time. The count is checked after all of them.
            while self._images_want_more():
                self._shoot_all()

    def _shoot_all(self) -> None:
        """Shoot the queued slices, and again those that turn out to be bad."""
        while self._work or self._pending is not None:
            self._take_next()
            if not self._work and self._pending is None:
                self._gate.wait()

    def _take_next(self) -> None:
        """Shoot one slice: move, settle, collect the previous frame, expose."""
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
        # Until the previous frame is collected, this slice stays in the queue: if that frame is
        # bad, the previous slice is shot again first.
        self._work.put_first(target)
        if self._collect_frame():
            self._work.remove(target)
            self._expose(target, achieved_um)

    # ------------------------------------------------------------------------- its single steps

    def _check_requests(self) -> None:
        """Between two slices, handle requests of operator and watches, then check the scene."""
        if not self._recovery.wanted and not self._recovery.scene_in_doubt:
            return
        if self._collect_frame():
            self._recovery.check_stop()
            self._recovery.check_requests()
            self._recheck_scene()

    def _recheck_scene(self) -> None:
        """After an interruption, shoot the last good slice again and compare the two frames."""
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
        """Check the axis's step count if due; return whether slices must be shot again."""
        if not self._lost_steps.is_due(at_the_end):
            return False
        self._collect_frame()
        self._machine.step(Trigger.RECOVER)
        try:
            lost = self._lost_steps.check()
        except DeviceError as fault:
            if isinstance(fault, RailAlarm):
                self._doubt_slice_exposed_here(fault)
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
        """Correct the recorded positions of doubtful slices, if the images show the true positions.

        Return whether the images show them. The slices are then kept, and only slices missing
        between the true positions are shot.
        """
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
        """Withdraw doubtful slices from the picture, and queue them to be shot again."""
        self._gate.withdraw(target.number for target in doubtful)
        # The last good frame may have been shot at another position than recorded.
        self._last_good = None
        for target in reversed(doubtful):
            self._reject(target)

    def _doubt_slice_exposed_here(self, fault: DeviceError) -> None:
        """Shoot the newest slice again if the axis lost its position while it was at rest.

        After an emergency stop, or without current in the motor, the carriage may have fallen
        during the exposure.
        """
        target, self._exposed_here = self._exposed_here, None
        stopped = isinstance(fault, RailAlarm) and fault.code == "estop"
        if target is None or not (stopped or isinstance(fault, PositionInDoubt)):
            return
        self._gate.wait()
        if self._work.is_shot(target.number):
            self._shoot_again([target])

    def _reject(self, target: Target) -> None:
        """Set the frame of a finished slice aside, and put the slice first in the queue again."""
        self._log_event(FrameRejected(slice=target.number, attempt=target.attempt))
        self._work.not_shot(target.number)
        self._set_aside(target)
        self._work.put_first_again(target)

    def _move(self, target: Target) -> float | None:
        """Move to a slice; return ``None`` if the axis failed and the slice is queued again."""
        self._machine.step(Trigger.MOVE)
        try:
            self._axis.start_move(target.position_um)
            self._exposed_here = None
            achieved_um = self._axis.finish_move()
        except DeviceError as fault:
            self._work.put_first(target)
            # First fetch what the camera still holds, because recovery can take minutes.
            self._collect_frame()
            self._doubt_slice_exposed_here(fault)
            self._recovery.handle(Part.AXIS, fault, target)
            return None
        self._log_event(
            AxisMoved(slice=target.number, target_um=target.position_um, achieved_um=achieved_um)
        )
        self._machine.step(Trigger.SETTLE)
        return achieved_um

    def _fill_gap_before(self, target: Target, achieved_um: float) -> bool:
        """Queue slices for the gap if the axis came to rest too far from the previous slice.

        Return whether there is a gap; its slices are then shot before ``target``.
        """
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
        self._exposed_here = target
        self._work.shot(target.number, achieved_um)

    def _collect_frame(self) -> bool:
        """Wait for the pending frame, check it, count its slice, and add it to the stream.

        Returns
        -------
        bool
            False if the frame is bad; its slice is then first in the queue again.
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
        """Check that the frame is complete, new, and exposed as required.

        Noise never repeats. So a frame with the same bytes is an old frame that the camera has
        delivered again, perhaps after it was reopened.
        """
        verify_frame(frame)
        if frame.sha256 in self._hashes:
            raise FrameMissing(
                f"{frame.camera_name} is identical to an earlier frame of this run, in every byte; "
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
        """Queue slices that the images show to be bad or missing; return whether there are any."""
        self._gate.wait()
        if not self._work:
            missing_um, why = self._gate.missing()
            if missing_um:
                self._work.insert(missing_um, why)
        return bool(self._work)

    def _finish(self) -> RunEnd:
        """Assess the coverage and wait for the fused picture; return how the run ended."""
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
                f"not confirm it: {images.get('reason') or 'they show too little texture'}. Check "
                f"the picture. If positions are enough, write 'proof: {{images: off}}'"
            )
            return RunEnd(State.DONE, FinishReason.NOT_VERIFIED, str(unverified), unverified)
        return RunEnd(State.DONE, FinishReason.COMPLETED)

    # ------------------------------------------------------------------------------ when it fails

    def _recover_picture(self, fault: MacrorailError, target: Target) -> None:
        """Apply the fault policy to a failed picture: queue its slice again, or leave it out.

        Before an exposure is repeated, the camera is drained or reopened, and files found on the
        camera are recorded in the journal.
        """
        part = Part.CAMERA if isinstance(fault, DeviceError) else Part.STORAGE
        if self._recovery.handle(part, fault, target):
            self._work.put_first_again(target)
            return
        self._leave_out(fault, target)

    def _fetch_after(self, fault: MacrorailError, pending: _Pending) -> None:
        """Handle a connection that was lost after the shutter opened.

        The frame is fetched from the camera's card. If the card does not have the frame, its slice
        is shot again.
        """
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
        """After an error, stop the axis and save the pending frame; return how the run ended."""
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
        """Release both devices, and write the end of the run to the journal."""
        self._storage.over = True
        # After a fault of the axis, or a stop by the operator, the axis is not moved any more.
        may_park = end.state is State.DONE or end.reason is FinishReason.PAUSED_TOO_LONG
        park = self._supervision.park and may_park
        troubles = [*self._devices.release(park), *self._supervision.switch_off()]
        ended = RunEnded(
            state=end.state.value,
            reason=end.reason.value,
            message=end.message,
            troubles=troubles,
        )
        # If the journal cannot be written, the caller still reports what ended the run.
        with suppress(JournalError):
            self._log_event(ended)

    # ---------------------------------------------------------------------------------- small help

    def _set_aside(self, target: Target) -> None:
        self._storage.call(lambda: set_aside(self._frames, target.number, target.attempt))

    def _log_event(self, event: Event) -> None:
        self._storage.call(lambda: self._journal.append(event))
