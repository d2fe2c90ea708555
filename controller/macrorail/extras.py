"""Errors for missing optional libraries; each names the pip extra that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from macrorail.errors import ConfigError, MacrorailError


@contextmanager
def needs_extra(
    extra: str, purpose: str, error_class: type[MacrorailError] = ConfigError
) -> Iterator[None]:
    """Enclose imports of optional libraries; raise an error that names a missing library's extra.

    Parameters
    ----------
    extra
        Name of the extra in pyproject.toml, such as ``raw``.
    purpose
        Task that needs the library, as the beginning of a sentence: ``"reading labels"``.
    error_class
        Class of the error raised.

    Raises
    ------
    MacrorailError
        A library cannot be imported. The error's class is ``error_class``. The message names the
        library and the pip command that installs it.
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
