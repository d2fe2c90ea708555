"""Where a stack's running sums lie: in memory or, where there is too little of it, in files."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.stacking.kernels import by_bands_of

# So many rows go through a pass before what it has touched of files is let go.
_ROWS = 256


class Store:
    """Takes the arrays of one stack.

    Parameters
    ----------
    folder
        Takes files without names that hold the arrays, and go with them; ``None``: they lie in
        memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._maps: WeakSet[mmap.mmap] = WeakSet()

    def empty(self, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
        """An array that may hold anything."""
        return np.empty(shape, dtype) if self._folder is None else self.zeros(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
        """An array of zeros.

        Raises
        ------
        StackError
            The folder has no room for it.
        """
        if self._folder is None:
            return np.zeros(shape, dtype)
        count = math.prod(shape)
        size_bytes = count * np.dtype(dtype).itemsize
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                # Now, with a message, not when a page is first written, by a signal.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size_bytes)
                else:  # Windows, whose files have no holes
                    file.truncate(size_bytes)
                mapped = mmap.mmap(file.fileno(), size_bytes)
        except OSError as error:
            raise StackError(
                f"{self._folder} takes no temporary file of {size_bytes / 1e6:.0f} MB: "
                f"{error.strerror}; make room there, or allow more memory"
            ) from error
        self._maps.add(mapped)
        return np.frombuffer(mapped, dtype, count).reshape(shape)

    def let_go(self) -> None:
        """Keep in memory nothing of what files hold."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows, which lets go by itself
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)

    def by_bands(self, kernel: Callable[..., None], height: int, *arguments: Any) -> None:
        """As :func:`~macrorail.stacking.kernels.by_bands`; arrays in files come into memory a
        few rows at a time, with the same result."""
        if self._folder is None:
            by_bands_of(range(height), kernel, *arguments)
            return
        for first in range(0, height, _ROWS):
            by_bands_of(range(first, min(first + _ROWS, height)), kernel, *arguments)
            self.let_go()
