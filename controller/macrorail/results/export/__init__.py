"""Exports a finished run to the file formats of other programs."""

from __future__ import annotations

from macrorail.results.export.formats import ExportKind, export

__all__ = ["ExportKind", "export"]
