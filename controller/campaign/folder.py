"""A campaign's folder read back: what there was to do, and what was done."""

from __future__ import annotations

import json
from pathlib import Path

from controller.campaign.work import Work
from controller.errors import JournalError
from controller.run_folder.journal import JOURNAL, Entry, read_journal

#: What makes a folder a campaign's.
WORK = "campaign.json"


def is_campaign_folder(folder: Path) -> bool:
    """Whether a folder is a campaign's, not a run's."""
    return (folder / WORK).is_file()


def read_campaign(folder: Path) -> tuple[Work, list[Entry]]:
    """A campaign's work and its journal; no entries when it ended before the first.

    Raises
    ------
    JournalError
        Not a campaign folder, or a damaged one.
    """
    try:
        work = Work.from_dict(json.loads((folder / WORK).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise JournalError(f"{folder} is no campaign folder: it has no {WORK}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{folder / WORK} cannot be read: {error}") from error
    journal = folder / JOURNAL
    return work, read_journal(journal) if journal.exists() else []
