"""Builds the supervision of a run from the rig's ``unattended`` section."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from macrorail.config.unattended import UnattendedSection
from macrorail.devices.light import Light
from macrorail.run_folder.journal import Journal
from macrorail.run_folder.reserve import Reserve
from macrorail.running.commands import Commands
from macrorail.running.interfaces import Watch
from macrorail.running.scene_check import FrameComparison
from macrorail.running.supervision import RunSupervision
from macrorail.running.watches import (
    BatteryWatch,
    DiskWatch,
    QuestionWatch,
    SleepWatch,
    TemperatureWatch,
)
from macrorail.session.notifications import Notifier
from macrorail.session.observer import RunObserver

_LOG = logging.getLogger("macrorail")


@contextmanager
def supervised(
    wanted: UnattendedSection,
    journal: Journal,
    commands: Commands,
    reserve: Reserve,
    accept_scene: bool,
    observer: RunObserver,
) -> Iterator[RunSupervision]:
    """Supervise a run during the ``with`` block; yield the object that the runner calls.

    The supervision watches disk, battery and temperature, sends notifications, and switches the
    lamp.

    Parameters
    ----------
    wanted
        The rig's ``unattended`` section.
    journal
        The run's journal; notifications of its entries are sent to the addresses in the rig.
    commands
        The operator's commands.
    reserve
        Disk space that is reserved for the run.
    accept_scene
        Whether to skip the comparison of frames after an interruption, because the operator
        accepts that the scene may have moved.
    observer
        Receives a warning when the run is stopped because its folder cannot be written.
    """
    folder = journal.path.parent
    watches: tuple[Watch, ...] = (
        DiskWatch(folder, wanted.keep_free_bytes, reserve.held_bytes),
        BatteryWatch(wanted.least_battery),
        SleepWatch(),
    )
    with ExitStack() as closings:
        if wanted.hottest_c is not None:
            watches = (*watches, TemperatureWatch(wanted.hottest_c, wanted.sensors))
        if wanted.ask is not None:
            question = QuestionWatch(wanted.ask, wanted.ask_every_s)
            watches = (*watches, closings.enter_context(closing(question)))
        alarms: list[Callable[[str], None]] = [
            _LOG.error,
            lambda why: observer.message(f"The run is stopped: {why}", "warning"),
        ]
        if wanted.notify:
            notifier = closings.enter_context(closing(Notifier(folder, wanted.notify)))
            journal.listen(notifier.on_entry)
            alarms.append(notifier.alarm)

        def alarm(why: str) -> None:
            for send in alarms:
                send(why)

        light = None if wanted.light is None else Light(wanted.light.on, wanted.light.off)
        if light is not None:
            closings.callback(light.switch_off)
            light.switch_on()
        comparison = FrameComparison(folder / "scene.log")
        yield RunSupervision(
            commands=commands,
            watches=watches,
            pause_at_most_s=wanted.pause_at_most_s,
            scene=None if accept_scene else comparison,
            lag=comparison,
            alarm=alarm,
            switch_off=list if light is None else light.switch_off,
            park=wanted.park == "start",
        )
