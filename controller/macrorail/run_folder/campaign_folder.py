"""Tells a campaign's folder from a run's."""

from __future__ import annotations

from pathlib import Path

CAMPAIGN = "campaign.json"
"""The file that makes a folder a campaign's."""

QUARANTINE = "quarantine"
"""Folder, beside the good runs, of those that are not to be handed over as they are."""


def is_campaign_folder(folder: Path) -> bool:
    """Whether a folder is a campaign's, not a run's."""
    return (folder / CAMPAIGN).is_file()
