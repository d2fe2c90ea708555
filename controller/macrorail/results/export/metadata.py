"""Describes a run in the standard metadata terms of natural history collections.

Audiovisual Core (http://rs.tdwg.org/ac/terms/), Darwin Core (http://rs.tdwg.org/dwc/terms/) and
Dublin Core, from the protocol, the journal and the frames. Terms without a value are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.quantity import format_length
from macrorail.run_folder.record import Record

NAMESPACES = {
    "dcterms": "http://purl.org/dc/terms/",
    "ac": "http://rs.tdwg.org/ac/terms/",
    "dwc": "http://rs.tdwg.org/dwc/terms/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "macrorail": "urn:macrorail:terms:1#",
}
HASH = "SHA-256"
#: One frame, as a line for ``sha256sum --check``.
Line = str


@dataclass(frozen=True)
class Description:
    """A run's metadata.

    Attributes
    ----------
    terms
        Values by ``prefix:term``; each value is a text, a number or a list of texts.
    frames
        ``file``, ``hashFunction``, ``hashValue`` and ``position_um`` of each frame in the fused
        picture.
    operator, rights
        Operator and terms of use from the protocol; ``None`` if it does not name them.
    """

    terms: dict[str, Any]
    frames: list[dict[str, Any]]
    operator: str | None
    rights: str | None

    @property
    def frame_lines(self) -> list[Line]:
        """Lines for ``sha256sum --check``, one for each frame, relative to the run folder."""
        return [f"{frame['hashValue']}  {frame['file']}" for frame in self.frames]

    def to_dict(self) -> dict[str, Any]:
        """Return the contents of the JSON sidecar."""
        return {"@context": NAMESPACES, **self.terms, "ac:derivedFrom": self.frames}


def describe(record: Record) -> Description:
    """Collect and return the metadata of a run.

    Raises
    ------
    ConfigError
        The run folder's copy of the protocol cannot be read.
    """
    wanted = _protocol(record.folder / "protocol.yaml")
    manifest = record.manifest
    order = set(manifest["fusion_order"])
    frames = [
        {
            "file": one["frame"],
            "hashFunction": HASH,
            "hashValue": one["sha256"],
            "position_um": one["achieved_um"],
        }
        for one in record.slices
        if one["index"] in order
    ]
    terms = {
        "dcterms:identifier": manifest["run"],
        "dcterms:type": "StillImage",
        "ac:subtype": "Photograph",
        "ac:metadataLanguage": "en",
        "dcterms:created": record.began,
        "xmp:CreatorTool": f"macrorail {manifest['versions']['macrorail']}",
        "ac:captureDevice": _device(manifest),
        "ac:resourceCreationTechnique": _technique(manifest, len(frames)),
        **_specimen_terms(wanted, manifest),
    }
    fused = manifest["fused"]
    if fused is not None:
        terms |= {
            "ac:hashFunction": HASH,
            "ac:hashValue": fused["sha256"],
            "macrorail:umPerPx": fused["um_per_px"],
            "macrorail:validRect": " ".join(map(str, fused["valid_rect"])),
        }
    terms["macrorail:coverageProven"] = bool(manifest["coverage"]["proven"])
    operator = wanted.operator if wanted else None
    return Description(terms, frames, operator, wanted.rights if wanted else None)


def _protocol(path: Path) -> Protocol | None:
    return load_document(path, Protocol) if path.exists() else None


def _specimen_terms(wanted: Protocol | None, manifest: dict[str, Any]) -> dict[str, Any]:
    identity = manifest["specimen"]["id"] if manifest["specimen"] else None
    terms: dict[str, Any] = {"dwc:materialSampleID": identity}
    if wanted is not None:
        specimen = wanted.specimen
        terms |= {
            "dcterms:creator": wanted.operator,
            "dcterms:rights": wanted.rights,
            "dwc:occurrenceID": specimen.occurrence_id,
            "dwc:catalogNumber": specimen.catalog_number,
            "dwc:institutionCode": specimen.institution,
            "dwc:scientificName": specimen.scientific_name,
            "ac:subjectPart": specimen.part,
            "ac:subjectOrientation": specimen.orientation,
            "ac:associatedSpecimenReference": specimen.occurrence_id or specimen.catalog_number,
        }
    return {term: value for term, value in terms.items() if value is not None}


def _device(manifest: dict[str, Any]) -> str:
    devices = manifest["devices"]
    parts = [
        f"{device['model']} ({device['version']})"
        for device in (devices["camera"], devices["axis"])
        if device
    ]
    simulated = ", simulated: no real instrument was used" if devices["bench"] else ""
    return " on ".join(parts) + simulated


def _technique(manifest: dict[str, Any], count: int) -> str:
    slices = manifest["slices"]
    if not slices:
        return "focus stacking"
    places = [one["achieved_um"] for one in slices]
    span = format_length(max(places) - min(places))
    text = f"focus stacking of {count} frames over {span}"
    return text + "; aligned and blended from a Laplacian pyramid"
