"""A protocol with its specimen filled in: what a run folder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_HEAD = "# The protocol as it was given, with the specimen that was found.\n"


def with_specimen(protocol: Mapping[str, Any], specimen: Mapping[str, str]) -> dict[str, Any]:
    """A protocol about one specimen.

    Parameters
    ----------
    protocol
        As :class:`macrorail.config.document.Document` holds it: text at the leaves.
    specimen
        Keys of the ``specimen`` section; they win over the protocol's own.
    """
    about = {**protocol.get("specimen", {}), **specimen}
    rest = {key: value for key, value in protocol.items() if key not in {"specimen", "identity"}}
    return {"specimen": about, **rest}


def as_yaml(protocol: Mapping[str, Any]) -> str:
    """As text for a file; comments of the original do not survive."""
    dumped = yaml.safe_dump(dict(protocol), sort_keys=False, allow_unicode=True)
    return _HEAD + str(dumped)
