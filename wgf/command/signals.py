"""Signals as a wish to stop: the step in hand is finished and a snapshot written."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class Stopped(Exception):
    """The run ended early on a signal; `code` is the exit status that the shell expects."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.code = 128 + number


class Signals:
    """Turns the first SIGINT or SIGTERM into a wish to stop and lets the second one through.

    Attributes
    ----------
    number : int or None
        The signal that came.
    """

    def __init__(self):
        self.number = None

    def _note(self, number, frame):
        if self.number is not None:
            raise Stopped(number, "stopped at once, the last step is lost")
        self.number = number

    @contextlib.contextmanager
    def watched(self) -> Iterator["Signals"]:
        """Watch for signals and put the handlers found back; only the main thread is sent any."""
        main = threading.current_thread() is threading.main_thread()
        watched = (signal.SIGINT, signal.SIGTERM) if main else ()
        before = {number: signal.signal(number, self._note) for number in watched}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Condition:
    """The condition on which a run stops: a signal, or what the script's own condition says."""

    def __init__(self, signals: Signals, own: Callable | None):
        self._signals, self._own = signals, own

    def __call__(self, row: dict) -> bool:
        return self._signals.number is not None or bool(self._own and self._own(row))

    def __getattr__(self, name):
        # a condition on the state itself, such as wgf.certified, has more than the call
        return getattr(self._own, name)
