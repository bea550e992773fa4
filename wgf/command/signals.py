"""Signals as a wish to stop: the step in hand is finished and a snapshot written."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from wgf.stepping import Stepper
from wgf.stepping.stop import Condition, State, condition


class Stopped(KeyboardInterrupt):
    """The run ended early on a signal; `code` is the exit status that the shell expects.

    It is no fault of the run: nothing that handles errors catches it.
    """

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


class Ended(Condition):
    """What ends a run: a signal, or what the script's own condition says."""

    def __init__(self, signals: Signals, own: object = None):
        self._signals, self._own = signals, condition(own)
        self.looks = self._own is not None and self._own.looks

    def prepare(self, flow: object, start: object) -> None:
        if self._own is not None:
            self._own.prepare(flow, start)

    def begin(self, stepper: Stepper) -> None:
        if self._own is not None:
            self._own.begin(stepper)

    def holds(self, state: State) -> bool:
        return self._signals.number is not None or (
            self._own is not None and self._own.holds(state)
        )
