"""What people take away: a finished run in the formats that other programs read."""

from __future__ import annotations

from macrorail.results.export.formats import Kind, export

__all__ = ["Kind", "export"]
