"""Starts and resumes campaigns: prepares folder, journal and instrument, then runs all stacks."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from macrorail.campaign.executor import CampaignExecutor
from macrorail.campaign.folder import SOURCE, read_campaign
from macrorail.campaign.forecast import CampaignForecast, forecast
from macrorail.campaign.plan import CampaignPlan, load_campaign
from macrorail.campaign.progress import CampaignProgress
from macrorail.campaign.prompts import OperatorPrompts
from macrorail.campaign.report import write_campaign_report
from macrorail.campaign.runner import CampaignRunner, UnfinishedCampaign, what_lacks
from macrorail.clock import WorldClock
from macrorail.config.rig import Rig, load_rig
from macrorail.devices.connect import Instrument, connect
from macrorail.errors import JournalError, MacrorailError, NotVerified, PlanError
from macrorail.identity.resolver import IdResolver
from macrorail.quantity import format_duration, format_size
from macrorail.run_folder.campaign_folder import CAMPAIGN
from macrorail.run_folder.events import (
    CampaignFinished,
    CampaignResumed,
    CampaignStarted,
    CampaignStopped,
)
from macrorail.run_folder.journal import JOURNAL, Entry, Journal, write_whole
from macrorail.run_folder.record import hash_file
from macrorail.session.notifications import Notifier
from macrorail.session.observer import RunObserver
from macrorail.session.signals import stopped_by_signals
from macrorail.session.systemd import SystemdNotifier

_LISTING = "specimens.csv"


@dataclass(frozen=True)
class CampaignOutcome:
    """The outcome of a campaign.

    Attributes
    ----------
    folder
        Campaign folder.
    totals
        Numbers of stacks: ``stacks``, ``done``, ``quarantined``, ``left``…
    error
        Error that stopped the campaign; ``UnfinishedCampaign`` if stacks are in quarantine;
        ``None`` if all stacks are done.
    """

    folder: Path
    totals: dict[str, Any]
    error: MacrorailError | None


def start_campaign(path: Path, rig_path: Path, out: Path, observer: RunObserver) -> CampaignOutcome:
    """Shoot a campaign into a new folder and return the outcome.

    Raises
    ------
    MacrorailError
        The campaign could not start; nothing has moved.
    """
    campaign, rig = load_campaign(path), load_rig(rig_path)
    expected = forecast(campaign, rig)
    settings = campaign.identity_settings
    if settings is not None and campaign.places_without_id:
        IdResolver(settings, path.parent, _given_ids(campaign)).check_places(
            campaign.places_without_id
        )
    _check_disk(out, expected)
    folder = _create_folder(out, campaign.id)
    shutil.copyfile(path, folder / SOURCE)
    shutil.copyfile(rig_path, folder / "rig.yaml")
    if settings is not None and settings.listing is not None:
        shutil.copyfile(path.parent / settings.listing, folder / _LISTING)
        campaign = campaign.with_listing(_LISTING)
    data = {**campaign.to_dict(), "source_sha256": hash_file(folder / SOURCE)}
    write_whole(folder / CAMPAIGN, json.dumps(data, indent=1, ensure_ascii=False))
    searched = f" ({expected.searched} ranges are searched for first)" if expected.searched else ""
    observer.message(
        f"{len(campaign.tasks)} stacks of {expected.shutter} slices planned in all{searched}, "
        f"about {format_duration(expected.duration_s)} of the instrument's time and "
        f"{format_size(expected.size_bytes)}; campaign folder {folder}",
    )
    return _carry_out(folder, campaign, rig, [], observer)


def resume_campaign(folder: Path, observer: RunObserver) -> CampaignOutcome:
    """Continue an interrupted campaign and return the outcome.

    Raises
    ------
    MacrorailError
        The campaign could not be resumed; nothing has moved.
    """
    campaign, entries = read_campaign(folder)
    rig = load_rig(folder / "rig.yaml")
    progress = CampaignProgress.of(campaign, entries)
    totals = progress.to_dict()
    observer.message(
        f"{totals['done']} of {totals['stacks']} stacks are done, {totals['quarantined']} are in "
        f"quarantine, {totals['left']} are left",
    )
    outcome = CampaignOutcome(folder, totals, None)
    if not progress.left:
        return replace(outcome, error=what_lacks(progress))
    if rig.bench is not None and progress.bench and Path(progress.bench).exists():
        bench = rig.bench.model_copy(update={"address": progress.bench})
        rig = rig.model_copy(update={"bench": bench})
    return _carry_out(folder, campaign, rig, entries, observer)


def _carry_out(
    folder: Path, campaign: CampaignPlan, rig: Rig, entries: list[Entry], observer: RunObserver
) -> CampaignOutcome:
    progress = CampaignProgress.of(campaign, entries)
    error: MacrorailError | None = None
    with (
        connect(rig, log_folder=folder) as instrument,
        closing(SystemdNotifier()) as systemd,
        closing(
            Journal(folder / JOURNAL, instrument.clock.now, (folder / JOURNAL).exists())
        ) as journal,
        _notifications(folder, rig, journal),
        stopped_by_signals(instrument.clock),
    ):
        journal.listen(progress.on_entry)
        if isinstance(instrument.clock, WorldClock):
            instrument.clock.on_wait = systemd.beat
        begin = CampaignResumed if entries else CampaignStarted
        journal.append(
            begin(campaign=campaign.id, stacks=len(campaign.tasks), bench=instrument.bench_address)
        )
        try:
            _run_stacks(folder, campaign, rig, instrument, progress, journal, systemd, observer)
        except MacrorailError as caught:
            error = caught
        finished = error is None or isinstance(error, UnfinishedCampaign | NotVerified)
        end = CampaignFinished if finished and not progress.left else CampaignStopped
        journal.append(end(**progress.to_dict(), message="" if error is None else str(error)))
    _report(folder, observer)
    totals = progress.to_dict()
    observer.message(
        f"{totals['done']} of {totals['stacks']} stacks are done, {totals['quarantined']} are in "
        f"quarantine, {totals['left']} are left"
        + (f"; continue with: macrorail resume {folder}" if totals["left"] else ""),
    )
    return CampaignOutcome(folder, totals, error)


def _report(folder: Path, observer: RunObserver) -> None:
    """Write the report; a failure is only shown, as the campaign is complete without it."""
    try:
        observer.message(f"Report: {write_campaign_report(folder)}")
    except MacrorailError as error:
        observer.message(f"No report was written: {error}")


def _run_stacks(
    folder: Path,
    campaign: CampaignPlan,
    rig: Rig,
    instrument: Instrument,
    progress: CampaignProgress,
    journal: Journal,
    systemd: SystemdNotifier,
    observer: RunObserver,
) -> None:
    settings, id_resolver = campaign.identity_settings, None
    if settings is not None and campaign.places_without_id:
        taken = (one["id"] for one in progress.specimens.values())
        id_resolver = IdResolver(settings, folder, taken)
    prompts = OperatorPrompts(
        instrument.clock, observer, journal.append, progress, rig.unattended.pause_at_most_s
    )
    with closing(prompts):
        prompts.serve(folder)
        executor = CampaignExecutor(
            folder,
            campaign,
            progress,
            rig,
            instrument,
            prompts,
            journal.append,
            systemd,
            observer,
            id_resolver,
        )
        CampaignRunner(campaign, progress, journal.append, executor, prompts.check).run()


@contextmanager
def _notifications(folder: Path, rig: Rig, journal: Journal) -> Iterator[None]:
    """Send notifications of the campaign to the addresses in the rig file."""
    if not rig.unattended.notify:
        yield
        return
    with closing(Notifier(folder, rig.unattended.notify)) as notifier:
        journal.listen(notifier.on_entry)
        yield


def _given_ids(campaign: CampaignPlan) -> set[str]:
    return {task.specimen["id"] for task in campaign.tasks if "id" in task.specimen}


def _check_disk(out: Path, expected: CampaignForecast) -> None:
    there = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if expected.size_bytes > free:
        raise PlanError(
            f"{out} has {format_size(free)} free, but the campaign needs about "
            f"{format_size(expected.size_bytes)}; free some space, or choose another disk with "
            f"--out"
        )


def _create_folder(out: Path, name: str) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        for suffix in ("", *(f"-{n}" for n in range(2, 100))):
            folder = out / f"{stamp}-{name}{suffix}"
            if not folder.exists():
                folder.mkdir(parents=True)
                return folder
    except OSError as error:
        raise JournalError(f"{out}: cannot make a campaign folder there: {error}") from error
    raise JournalError(f"{out}: a hundred campaigns {name} were started in this second")
