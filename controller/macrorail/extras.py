"""Optional libraries: which extra of macrorail installs one that is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from macrorail.errors import ConfigError, MacrorailError


@contextmanager
def needs_extra(
    extra: str, purpose: str, error_class: type[MacrorailError] = ConfigError
) -> Iterator[None]:
    """Import optional libraries inside this block; a missing one is reported with its extra.

    Parameters
    ----------
    extra
        Name of the extra in pyproject.toml, such as ``raw``.
    purpose
        What needs the library, as the beginning of a sentence: ``"reading labels"``.
    error_class
        Class of the error raised.

    Raises
    ------
    MacrorailError
        Of class ``error_class``: a library cannot be imported. The message names it and the pip
        command that installs it.
    """
    try:
        yield
    except ImportError as error:
        library = error.name or "a library"
        if library.partition(".")[0] in {"macrorail", "macrorail_sims"}:
            raise
        raise error_class(
            f"{purpose} needs {library}, which cannot be imported ({error}); install it with: "
            f"pip install 'macrorail[{extra}]'"
        ) from error
