"""Provides memory for a stack's running sums: main memory, or files where it is too small."""

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

# Number of rows processed before the memory pages of the files are released.
_ROWS = 256


class Store:
    """Provides the arrays of one stack.

    Parameters
    ----------
    folder
        Folder for temporary files that contain the arrays; they vanish with the arrays. With
        ``None`` the arrays are in main memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._maps: WeakSet[mmap.mmap] = WeakSet()

    def empty(self, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
        """Return an array whose values are not initialised."""
        return np.empty(shape, dtype) if self._folder is None else self.zeros(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
        """Return an array of zeros.

        Raises
        ------
        StackError
            There is not enough free space in the folder.
        """
        if self._folder is None:
            return np.zeros(shape, dtype)
        count = math.prod(shape)
        size_bytes = count * np.dtype(dtype).itemsize
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                # Reserve the space now, where a failure gives a message. Writing to a page without
                # space later would end the process by a signal.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size_bytes)
                else:  # Windows, where files are not sparse
                    file.truncate(size_bytes)
                mapped = mmap.mmap(file.fileno(), size_bytes)
        except OSError as error:
            raise StackError(
                f"cannot create a temporary file of {size_bytes / 1e6:.0f} MB in {self._folder}: "
                f"{error.strerror}; free some space there, or allow more memory"
            ) from error
        self._maps.add(mapped)
        return np.frombuffer(mapped, dtype, count).reshape(shape)

    def let_go(self) -> None:
        """Release the memory pages of the files; the data stay in the files."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows, which releases pages by itself
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)

    def by_bands(self, kernel: Callable[..., None], height: int, *arguments: Any) -> None:
        """Run a kernel like :func:`~macrorail.stacking.kernels.by_bands`, with the same result.

        Arrays in files are brought into memory a few rows at a time.
        """
        if self._folder is None:
            by_bands_of(range(height), kernel, *arguments)
            return
        for first in range(0, height, _ROWS):
            by_bands_of(range(first, min(first + _ROWS, height)), kernel, *arguments)
            self.let_go()
