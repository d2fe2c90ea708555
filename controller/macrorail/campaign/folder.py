"""A campaign's folder read back: what there was to do, and what was done."""

from __future__ import annotations

import json
from pathlib import Path

from macrorail.campaign.plan import CampaignPlan
from macrorail.errors import JournalError
from macrorail.run_folder.campaign_folder import CAMPAIGN
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal


def read_campaign(folder: Path) -> tuple[CampaignPlan, list[Entry]]:
    """A campaign's work and its journal; no entries when it ended before the first.

    Raises
    ------
    JournalError
        Not a campaign folder, or a damaged one.
    """
    try:
        work = CampaignPlan.from_dict(json.loads((folder / CAMPAIGN).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise JournalError(f"{folder} is no campaign folder: it has no {CAMPAIGN}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{folder / CAMPAIGN} cannot be read: {error}") from error
    journal = folder / JOURNAL
    return work, read_journal(journal) if journal.exists() else []
