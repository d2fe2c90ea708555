"""What an id may look like: it names folders and files, on every system that may hold them."""

from __future__ import annotations

import re

LONGEST = 64

_OTHER = re.compile(r"[^A-Za-z0-9._-]+")
#: Windows has no files of these names, whatever their suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)


def check_safe(name: str) -> str:
    """The name itself.

    Raises
    ------
    ValueError
        It cannot name a folder everywhere.
    """
    if _OTHER.search(name) or not 1 <= len(name) <= LONGEST or not name[0].isalnum():
        raise ValueError(
            f"must be 1 to {LONGEST} letters, digits, '-', '_' or '.', starting with a letter or "
            f"digit, because it names folders; got '{name}'"
        )
    if _RESERVED.fullmatch(name) or name.endswith("."):
        raise ValueError(f"must not be '{name}': some systems cannot have a folder of that name")
    return name


def safe_name(text: str) -> str:
    """A label's text as an id: what cannot stand in a name becomes one '-'.

    ``BMNH(E) 1234567`` gives ``BMNH-E-1234567``.

    Raises
    ------
    ValueError
        Nothing usable is left, or it is too long.
    """
    return check_safe(_OTHER.sub("-", text).strip("-._"))
