"""CSV tables of the specimens and media, for collection databases.

Column names are terms of Darwin Core, Audiovisual Core and Dublin Core without their prefixes, as
in GBIF's templates. A term without a value is an empty field.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from macrorail.results.delivery.selection import DeliveredRun

SPECIMENS = "specimens.csv"
MEDIA = "multimedia.csv"

_SPECIMEN_TERMS = (
    "dwc:materialSampleID",
    "dwc:occurrenceID",
    "dwc:catalogNumber",
    "dwc:institutionCode",
    "dwc:scientificName",
)
_MEDIA_TERMS = (
    "dwc:materialSampleID",
    "dwc:occurrenceID",
    "dcterms:type",
    "ac:subtype",
    "dcterms:created",
    "dcterms:creator",
    "dcterms:rights",
    "ac:subjectPart",
    "ac:subjectOrientation",
    "ac:captureDevice",
    "ac:resourceCreationTechnique",
    "ac:hashFunction",
    "ac:hashValue",
)


def specimens_table(runs: Iterable[DeliveredRun]) -> str:
    """Return CSV with one row per specimen; ``associatedMedia`` lists pictures, joined by ``|``."""
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        terms = run.description.terms
        row = rows.setdefault(run.specimen_id, {_bare(name): "" for name in _SPECIMEN_TERMS})
        row |= {_bare(name): terms[name] for name in _SPECIMEN_TERMS if name in terms}
        media = row.get("associatedMedia", "")
        row["associatedMedia"] = f"{media}|{picture_of(run)}".strip("|")
    return _as_csv([*map(_bare, _SPECIMEN_TERMS), "associatedMedia"], rows.values())


def media_table(runs: Iterable[DeliveredRun]) -> str:
    """Return CSV with one row for each fused picture."""
    rows = []
    for run in runs:
        terms = run.description.terms
        row = {_bare(name): terms.get(name, "") for name in _MEDIA_TERMS}
        row |= {
            "identifier": terms["dcterms:identifier"],
            "accessURI": picture_of(run),
            "format": "image/tiff",
            "umPerPx": terms.get("macrorail:umPerPx", ""),
            "coverageProven": str(terms["macrorail:coverageProven"]).lower(),
        }
        rows.append(row)
    own = ["identifier", "accessURI", "format"]
    return _as_csv([*own, *map(_bare, _MEDIA_TERMS), "umPerPx", "coverageProven"], rows)


def picture_of(run: DeliveredRun) -> str:
    """Return the path of a run's fused picture in the package."""
    return f"{run.name}/{run.record.manifest['fused']['path']}"


def _bare(term: str) -> str:
    return term.partition(":")[2]


def _as_csv(columns: list[str], rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
