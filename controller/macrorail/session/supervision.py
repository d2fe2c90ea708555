"""What looks after a run, built from the rig's ``unattended`` section."""

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
from macrorail.session.notifications import News
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
    """Everything that looks after a run while the block runs.

    Parameters
    ----------
    wanted
        By the rig.
    journal
        The run's; what it says is told to whoever the rig names.
    commands
        What the operator wants.
    reserve
        Room that is held for the run.
    accept_scene
        Do not compare frames after an interruption: the operator knows that something moved.
    observer
        Learns why a run stands still whose folder cannot be written.
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
            lambda why: observer.message(f"The run stands still: {why}", "warning"),
        ]
        if wanted.notify:
            news = closings.enter_context(closing(News(folder, wanted.notify)))
            journal.listen(news.on_entry)
            alarms.append(news.alarm)

        def alarm(why: str) -> None:
            for tell in alarms:
                tell(why)

        light = None if wanted.light is None else Light(wanted.light.on, wanted.light.off)
        if light is not None:
            closings.callback(light.switch_off)
            light.switch_on()
        yield RunSupervision(
            commands=commands,
            watches=watches,
            pause_at_most_s=wanted.pause_at_most_s,
            scene=None if accept_scene else FrameComparison(folder / "scene.log"),
            alarm=alarm,
            switch_off=list if light is None else light.switch_off,
            park=wanted.park == "start",
        )
