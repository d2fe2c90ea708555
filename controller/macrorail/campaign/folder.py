"""Reads a campaign folder: its stacks and its journal."""

from __future__ import annotations

import json
from pathlib import Path

from macrorail.campaign.plan import CampaignPlan
from macrorail.errors import JournalError
from macrorail.run_folder.campaign_folder import CAMPAIGN
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail.run_folder.record import hash_file

SOURCE = "campaign.yaml"
"""Name of the copy of the campaign file, made when the campaign was started."""


def read_campaign(folder: Path) -> tuple[CampaignPlan, list[Entry]]:
    """Return the plan of a campaign and its journal entries.

    There are no entries when the campaign ended before its first journal entry.

    Raises
    ------
    JournalError
        The folder is not a campaign folder, or is damaged.
    """
    try:
        data = json.loads((folder / CAMPAIGN).read_text(encoding="utf-8"))
        source_sha256 = data.pop("source_sha256", None)
        campaign = CampaignPlan.from_dict(data)
    except FileNotFoundError as error:
        raise JournalError(f"{folder} is not a campaign folder: it has no {CAMPAIGN}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{folder / CAMPAIGN} cannot be read: {error}") from error
    source = folder / SOURCE
    if source_sha256 is not None and (not source.exists() or hash_file(source) != source_sha256):
        raise JournalError(
            f"{source} was changed or removed after the campaign was started. Restore the "
            f"original file, from which the stacks were planned. Or start a new campaign with the "
            f"changed file"
        )
    journal = folder / JOURNAL
    return campaign, read_journal(journal) if journal.exists() else []
