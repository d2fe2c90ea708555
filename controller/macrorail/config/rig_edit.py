"""Writes a measured value into the text of a rig file and leaves the rest unchanged."""

from __future__ import annotations

import re

from macrorail.errors import ConfigError


def with_settle(text: str, line: str) -> str:
    """Return the rig file's text with ``line``, such as ``settle: 200 ms``, in its axis section.

    Raises
    ------
    ConfigError
        The section is not written as a block with one key per line.
    """
    section = re.search(r"^axis:[^\S\n]*(?:#.*)?\n((?:[^\S\n]+.*\n|[^\S\n]*\n|#.*\n)*)", text, re.M)
    first = section and re.search(r"^([^\S\n]+)\w", section.group(1), re.M)
    if section is None or first is None:
        raise ConfigError(
            f"the rig file's axis section is not written with one key per line; add '{line}' "
            f"to it by hand"
        )
    indent, body = first.group(1), section.group(1)
    old = re.search(rf"^{indent}settle:[^#\n]*?(?=[^\S\n]*(?:#.*)?$)", body, re.M)
    if old is not None:
        body = body[: old.start()] + indent + line + body[old.end() :]
    else:
        kept = body.rstrip("\n")
        body = f"{kept}\n{indent}{line}\n" + body[len(kept) + 1 :]
    return text[: section.start(1)] + body + text[section.end(1) :]
