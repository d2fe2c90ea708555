"""Checks folder names: a specimen id must be a valid folder name on every operating system."""

from __future__ import annotations

import re

LONGEST = 64

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._-]+")
#: Windows does not allow files with these names, whatever their suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)


def check_folder_name(name: str) -> str:
    """Return the name unchanged if it can name a folder on every system.

    Raises
    ------
    ValueError
        The name is not allowed; the message gives the reason.
    """
    if _NOT_ALLOWED.search(name) or not 1 <= len(name) <= LONGEST or not name[0].isalnum():
        raise ValueError(
            f"must be 1 to {LONGEST} letters, digits, '-', '_' or '.', starting with a letter or "
            f"digit, because it names folders; got '{name}'"
        )
    if _RESERVED.fullmatch(name) or name.endswith("."):
        raise ValueError(f"must not be '{name}': Windows does not allow a folder of that name")
    return name


def safe_name(text: str) -> str:
    """Return a label's text as an id: each run of characters that is not allowed becomes one '-'.

    ``BMNH(E) 1234567`` gives ``BMNH-E-1234567``.

    Raises
    ------
    ValueError
        No usable character is left, or the id is too long.
    """
    return check_folder_name(_NOT_ALLOWED.sub("-", text).strip("-._"))
