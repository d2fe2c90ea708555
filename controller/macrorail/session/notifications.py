"""Sends notifications about a run through Apprise, in a separate thread.

Errors in sending never affect the run. A notification that cannot be sent in time is dropped, and
this is logged.
"""

from __future__ import annotations

import importlib
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.errors import ConfigError
from macrorail.extras import needs_extra
from macrorail.run_folder import events
from macrorail.run_folder.journal import Entry
from macrorail.states import FinishReason, State

_LOG = logging.getLogger("macrorail.notifications")
_MOST_WAITING = 100
#: Longest time that the end of a run waits for its last notifications, seconds of wall time.
_LAST_S = 10.0


@dataclass(frozen=True)
class Notification:
    """One notification; ``kind`` is ``info``, ``success``, ``warning`` or ``failure``."""

    title: str
    body: str
    kind: str
    picture: Path | None = None


class Notifier:
    """Follows the journal of a run or a campaign and sends notifications.

    Parameters
    ----------
    run
        Run folder or campaign folder.
    addresses
        Addresses for Apprise (``ntfy://...``, ``mailto://...``), or files with lists of addresses.

    Raises
    ------
    ConfigError
        Apprise is not installed, or does not support an address.
    """

    def __init__(self, run: Path, addresses: Sequence[str]) -> None:
        self._run = run
        self._apprise = _connect(addresses)
        self._waiting: queue.Queue[Notification | None] = queue.Queue(_MOST_WAITING)
        # A daemon thread: a receiver that hangs must not keep a finished run from ending.
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def on_entry(self, entry: Entry) -> None:
        """Queue a notification for a journal entry if it needs one; return at once."""
        message = self._message(entry)
        if message is not None:
            self._put(message)

    def alarm(self, why: str) -> None:
        """Queue a notification that the run is paused because its journal cannot be written."""
        self._put(Notification(f"{self._run.name} is paused", why, "warning"))

    def close(self) -> None:
        """Wait until all notifications are sent, but at most 10 s; safe to call twice."""
        self._put(None)
        self._thread.join(_LAST_S)
        if self._thread.is_alive():
            _LOG.warning("notifications that could not be sent in %g s were dropped", _LAST_S)

    def _put(self, message: Notification | None) -> None:
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            _LOG.warning("too many notifications are waiting; dropped: %s", message)

    def _message(self, entry: Entry) -> Notification | None:
        name = self._run.name
        match entry.event:
            case events.RunStarted(slice_count=count):
                return Notification(f"{name} started", f"{count} slices are planned.", "info")
            case events.RunResumed(slice_count=count):
                return Notification(f"{name} continues", f"{count} slices are planned.", "info")
            case events.RunPaused(why=why):
                return Notification(f"{name} is paused", why, "warning")
            case events.PauseEnded(why=why):
                return Notification(f"{name} continues", why, "info")
            case events.RunEnded() as ended:
                return self._end(ended)
            case events.OperatorAsked(question=question):
                return Notification(f"{name} waits for an answer", question, "warning")
            case events.StackQuarantined(stack=stack, why=why):
                return Notification(f"{name}: {stack} is set aside", why, "warning")
            case events.CampaignFinished() | events.CampaignStopped() as ended:
                return self._end_of_campaign(ended)
            case _:
                return None

    def _end(self, ended: events.RunEnded) -> Notification:
        name = self._run.name
        if ended.reason == FinishReason.COMPLETED.value:
            picture = self._run / "fused.jpg"
            return Notification(
                f"{name} is done",
                "Every slice overlaps its neighbours.",
                "success",
                picture if picture.is_file() else None,
            )
        kind = "failure" if ended.state == State.FAILED.value else "warning"
        body = f"{ended.message}\nContinue with: macrorail resume {self._run}"
        return Notification(f"{name} {ended.state}", body, kind)

    def _end_of_campaign(
        self, ended: events.CampaignFinished | events.CampaignStopped
    ) -> Notification:
        body = (
            f"{ended.done} of {ended.stacks} stacks are done, {ended.quarantined} are "
            f"in quarantine, {ended.left} are left. {ended.message}"
        ).strip()
        if isinstance(ended, events.CampaignFinished):
            kind = "warning" if ended.quarantined else "success"
            return Notification(f"{self._run.name} is finished", body, kind)
        body += f"\nContinue with: macrorail resume {self._run}"
        return Notification(f"{self._run.name} stopped", body, "failure")

    def _send_all(self) -> None:
        while (message := self._waiting.get()) is not None:
            began_s = time.monotonic()
            try:
                sent = self._apprise.notify(
                    title=message.title,
                    body=message.body,
                    notify_type=message.kind,
                    attach=None if message.picture is None else str(message.picture),
                )
            except Exception as error:
                # A plug-in of Apprise may raise anything; a notification must not end a run.
                _LOG.warning("'%s' could not be sent: %s", message.title, error)
                continue
            took_s = time.monotonic() - began_s
            if sent:
                _LOG.info("'%s' was sent in %.1f s", message.title, took_s)
            else:
                _LOG.warning("'%s' was not sent to all (%.1f s)", message.title, took_s)


def _connect(addresses: Sequence[str]) -> Any:
    with needs_extra("notify", "the rig's 'unattended: notify'"):
        apprise = importlib.import_module("apprise")
    sender = apprise.Apprise()
    for address in addresses:
        path = Path(address).expanduser()
        already = len(sender)
        if path.is_file():
            listed = apprise.AppriseConfig()
            listed.add(str(path))
            sender.add(listed)
        else:
            sender.add(address)
        if len(sender) == already:
            raise ConfigError(
                f"the rig's 'unattended: notify' has '{address.split('//')[0]}...', which is "
                f"neither an address that Apprise supports nor a file with a list of addresses"
            )
    return sender
