"""Compilation of kernels: where it is kept, and who is told while it goes on.

Numba keeps what it compiled beside the package, or in the cache folder of the user where it may
not write there, or in ``NUMBA_CACHE_DIR``. Where it may write to none of them, as in a container
without a home, it would refuse to begin: it is given a folder of the user's own among the temporary
ones.
"""

import contextlib
import os
import pathlib
import stat
import tempfile
import time
from collections.abc import Callable, Iterator

import numba
from numba.core import event
from numba.core.caching import UserWideCacheLocator

__all__ = ["compiling", "njit"]


def njit(**options):
    """Return Numba's decorator ``njit``, once there is a folder for what it compiles."""
    return numba.njit(**options)


class _Watch(event.Listener):
    """Tells once that something is compiled, and counts the seconds that it takes."""

    def __init__(self, tell):
        self.tell, self.depth, self.began, self.seconds = tell, 0, 0.0, 0.0

    def on_start(self, event):
        if self.depth == 0:
            self.began = time.perf_counter()
            if self.tell is not None:
                self.tell()
                self.tell = None
        self.depth += 1

    def on_end(self, event):
        # what calls a kernel is compiled around it
        self.depth = max(self.depth - 1, 0)
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.began


@contextlib.contextmanager
def compiling(tell: Callable[[], object] | None = None) -> Iterator[_Watch]:
    """Watch what is compiled within: `tell` is called once, when the first kernel is.

    Yields
    ------
    object with the attribute `seconds`
    """
    watch = _Watch(tell)
    with event.install_listener("numba:compile", watch):
        yield watch


def writable(folder: str) -> bool:
    """Return whether files can be made in a folder, which is made if it is not there."""
    try:
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def temporary_folder() -> str:
    """Return a temporary folder of the user's own, the same each time if nobody else has it."""
    name = f"wgf-{os.getuid()}" if hasattr(os, "getuid") else "wgf"
    path = pathlib.Path(tempfile.gettempdir(), name)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError:
        return tempfile.mkdtemp(prefix="wgf-")
    # what lies there will be executed
    own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    if own and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022:
        return str(path)
    return tempfile.mkdtemp(prefix="wgf-")


def provide_folder() -> None:
    """Give Numba a folder for what it compiles where it would find none."""
    if numba.config.CACHE_DIR:
        if not writable(numba.config.CACHE_DIR):
            numba.config.CACHE_DIR = temporary_folder()
        return
    # whichever Numba would take, asked of a kernel of each room
    rooms = pathlib.Path(__file__).parents[1]
    places = [str(rooms / room / "__pycache__") for room in ("eulerian", "lagrangian")]
    if not all(map(writable, places)) and not writable(_user_folder()):
        numba.config.CACHE_DIR = temporary_folder()


def _user_folder():
    locator = UserWideCacheLocator(provide_folder, __file__)
    return os.path.dirname(locator.get_cache_path())


provide_folder()
