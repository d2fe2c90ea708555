"""Writes the metadata as an XMP packet (ISO 16684-1), inside a picture or as a sidecar file."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from macrorail.results.export.metadata import NAMESPACES, Description

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_X = "adobe:ns:meta/"
_DC = "http://purl.org/dc/elements/1.1/"
_RIGHTS = "http://ns.adobe.com/xap/1.0/rights/"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_BEGIN = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = b'\n<?xpacket end="w"?>'
#: The hash of a file cannot be inside that file.
_ONLY_BESIDE = {"ac:hashFunction", "ac:hashValue"}

for _prefix, _uri in {
    **NAMESPACES,
    "x": _X,
    "rdf": _RDF,
    "dc": _DC,
    "xmpRights": _RIGHTS,
}.items():
    ElementTree.register_namespace(_prefix, _uri)


def packet(description: Description, beside: bool, with_frames: bool = True) -> bytes:
    """Return the XMP packet of a run.

    Parameters
    ----------
    description
        Metadata of the run.
    beside
        True for a sidecar file of ``fused.tif``, which contains the hash of that file. False for
        a packet inside an exported picture.
    with_frames
        Whether to include every frame with its hash. Otherwise only the number of frames is
        included, because a JPEG has only 64 kB for the packet.
    """
    root = ElementTree.Element(f"{{{_X}}}xmpmeta")
    rdf = ElementTree.SubElement(root, f"{{{_RDF}}}RDF")
    about = ElementTree.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    for term, value in description.terms.items():
        if beside or term not in _ONLY_BESIDE:
            _property(about, term, value)
    _property(about, "macrorail:frameCount", len(description.frames))
    if with_frames:
        _list(about, f"{{{NAMESPACES['ac']}}}derivedFrom", "Bag", description.frame_lines)
    _for_photo_software(about, description)
    ElementTree.indent(root)
    body: bytes = ElementTree.tostring(root, encoding="utf-8")
    return _BEGIN + body + _END


def _for_photo_software(about: ElementTree.Element, description: Description) -> None:
    """Add the metadata in the older terms that photo software displays."""
    identifier = description.terms["dcterms:identifier"]
    ElementTree.SubElement(about, f"{{{_DC}}}identifier").text = identifier
    if description.operator is not None:
        _list(about, f"{{{_DC}}}creator", "Seq", [description.operator])
    if description.rights is not None:
        _list(about, f"{{{_DC}}}rights", "Alt", [description.rights])
        ElementTree.SubElement(about, f"{{{_RIGHTS}}}Marked").text = "True"


def _property(about: ElementTree.Element, term: str, value: Any) -> None:
    prefix, name = term.split(":")
    text = {True: "True", False: "False"}[value] if isinstance(value, bool) else str(value)
    ElementTree.SubElement(about, f"{{{NAMESPACES[prefix]}}}{name}").text = text


def _list(about: ElementTree.Element, name: str, kind: str, texts: list[str]) -> None:
    items = ElementTree.SubElement(ElementTree.SubElement(about, name), f"{{{_RDF}}}{kind}")
    for text in texts:
        item = ElementTree.SubElement(items, f"{{{_RDF}}}li")
        item.text = text
        if kind == "Alt":
            item.set(_LANGUAGE, "x-default")
