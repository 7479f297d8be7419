"""One thread for the linear algebra beneath numpy.

Our products are small: a second thread gains nothing on an idle machine, and on a busy one the
two wait for each other (one sentence took 230 ms with two threads on two loaded cores, 17 ms
with one). More work at once is more worker processes. Results are the same either way.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path
from typing import Final

import numpy as np

_SETTERS: Final = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)
_FOLDERS: Final = ("../numpy.libs", ".dylibs")


@functools.cache
def one_thread() -> bool:
    """Hold numpy's own OpenBLAS to one thread in this process; True if it was found.

    Leaves an explicit OPENBLAS_NUM_THREADS alone, and any other library as it is.
    """
    if "OPENBLAS_NUM_THREADS" in os.environ:
        return False
    package = Path(np.__file__).parent
    for folder in _FOLDERS:
        for library in sorted((package / folder).glob("*openblas*")):
            try:
                # Already loaded by numpy: this only takes hold of it again.
                loaded = ctypes.CDLL(str(library.resolve()))
            except OSError:
                continue
            for name in _SETTERS:
                if hasattr(loaded, name):
                    getattr(loaded, name)(ctypes.c_int(1))
                    return True
    return False
