"""A campaign's report."""

from __future__ import annotations

from pathlib import Path


def write_campaign_report(folder: Path) -> Path:
    """Write it."""
    return folder / "report.html"
