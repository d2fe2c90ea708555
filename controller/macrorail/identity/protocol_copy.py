"""Makes the copy of a protocol for a run folder, with the specimen filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_HEAD = "# The protocol of this run, with the specimen that was identified.\n"


def with_specimen(protocol: Mapping[str, Any], specimen: Mapping[str, str]) -> dict[str, Any]:
    """Return a protocol with its ``specimen`` section filled in and without ``identity``.

    Parameters
    ----------
    protocol
        Data of a :class:`macrorail.config.document.Document`, with text at the leaves.
    specimen
        Keys of the ``specimen`` section; they override those of the protocol.
    """
    about = {**protocol.get("specimen", {}), **specimen}
    rest = {key: value for key, value in protocol.items() if key not in {"specimen", "identity"}}
    return {"specimen": about, **rest}


def as_yaml(protocol: Mapping[str, Any]) -> str:
    """Return the protocol as YAML text; comments of the original are lost."""
    dumped = yaml.safe_dump(dict(protocol), sort_keys=False, allow_unicode=True)
    return _HEAD + str(dumped)
