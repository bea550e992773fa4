"""Threads that sleep until there is a loop to share, and share it as they come.

The parts of a loop are taken one after the other by whoever is free, the caller among them. A
thread that other programs keep from running takes none and holds nobody up; the caller waits only
for parts that have begun. What each part does is fixed, so the bits do not depend on who does it.

Numba's own threads are not used: they spin while they wait, take shares of fixed size, cannot be
called after a fork (OpenMP) or from two threads at once (workqueue), and make every loop compile
twice as long.
"""

import contextlib
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator

# seconds after which a thread without work ends
IDLE = 5.0
# seconds of loops in which the way that is not taken is tried, and between two such trials
TRIAL, BETWEEN = 0.02, 0.8


class Balance:
    """Whether loops are shared: the way that has lately taken less time for the same work.

    On a machine that is busy with something else a thread may be held up and keep the others
    waiting; whether sharing still gains depends on the neighbours, so it is tried now and then.

    Attributes
    ----------
    shares : bool
    """

    def __init__(self):
        self.shares, self._trial = True, True
        self._rates: dict[bool, float] = {}
        self._seconds = self._work = 0.0

    def count(self, seconds: float, work: float) -> None:
        """Count a loop of so much work that was done the present way."""
        self._seconds += seconds
        self._work += work
        if self._seconds < (TRIAL if self._trial else BETWEEN):
            return
        rate = self._seconds / self._work
        # one trial is short, and something may have come in between
        self._rates[self.shares] = 0.5 * (self._rates.get(self.shares, rate) + rate)
        other = not self.shares
        if not self._trial or other not in self._rates:
            self.shares, self._trial = other, True
        else:
            self.shares, self._trial = min(self._rates, key=lambda way: self._rates[way]), False
        self._seconds = self._work = 0.0


class Pool:
    """Threads that take parts of loops; they begin when first needed."""

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        """Forget all threads: they do not live on in a forked process, and may have held locks."""
        self._lock, self._threads, self._users = threading.Lock(), set(), 0
        self._loops: queue.SimpleQueue = queue.SimpleQueue()
        self.balance = Balance()

    def share(self, work: Callable[[int], object], parts: int, threads: int) -> None:
        """Call ``work(part)`` for every part on this thread and ``threads - 1`` others.

        Raises
        ------
        Exception
            The first one that a part raises, once no part is under way.
        """
        loop = _Loop(work, parts)
        others = min(threads, parts) - 1
        if len(self._threads) < others:
            self._start(others)
        # threads that have not come for the last loop need not be called for this one
        for _ in range(others - self._loops.qsize()):
            self._loops.put(loop)
        loop.take()
        loop.wait()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the threads until the last of all callers leaves, and end them then."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                # the work and the neighbours may be others
                self.balance = Balance()
        try:
            yield
        finally:
            with self._lock:
                self._users = max(self._users - 1, 0)
                ended = [] if self._users else list(self._threads)
            for _ in ended:
                self._loops.put(None)
            for thread in ended:
                thread.join()

    def _start(self, count):
        with self._lock:
            while len(self._threads) < count:
                thread = threading.Thread(target=self._serve, name="wgf", daemon=True)
                self._threads.add(thread)
                thread.start()

    def _serve(self):
        _inside.here = True
        with contextlib.suppress(queue.Empty):
            while (loop := self._loops.get(timeout=IDLE)) is not None:
                loop.take()
                # an array of the last loop may be large
                del loop
        self._threads.discard(threading.current_thread())


class _Loop:
    """One loop; its parts are counted out under the lock of the interpreter."""

    def __init__(self, work, parts):
        self.work, self.parts, self.error = work, parts, None
        self._next, self._done = itertools.count().__next__, itertools.count(1).__next__
        self._all = threading.Lock()
        self._all.acquire()

    def take(self):
        """Do parts until none is left."""
        while (part := self._next()) < self.parts:
            try:
                if self.error is None:
                    self.work(part)
            except BaseException as error:
                self.error = error
            if self._done() == self.parts:
                self._all.release()

    def wait(self):
        """Wait for the parts that others have begun."""
        self._all.acquire()
        self.work = None
        if self.error is not None:
            raise self.error


class _Inside(threading.local):
    here = False


_inside = _Inside()


def inside() -> bool:
    """Return whether this is a thread of the pool, in which loops are not shared again."""
    return _inside.here


pool = Pool()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.reset)
