"""Distinguishes campaign folders from run folders."""

from __future__ import annotations

from pathlib import Path

CAMPAIGN = "campaign.json"
"""Name of the file that every campaign folder contains."""

QUARANTINE = "quarantine"
"""Name of the subfolder for runs that must not be delivered without a person's decision."""


def is_campaign_folder(folder: Path) -> bool:
    """Return whether a folder is a campaign folder rather than a run folder."""
    return (folder / CAMPAIGN).is_file()
