"""Interrupts that wait for the end of a step, so that what a run has found is kept."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def held_back(active: bool = True) -> Iterator[threading.Event]:
    """Hold the first interrupt back while the context lasts, and let the second one through.

    Where somebody else handles interrupts, and outside the main thread, which alone is sent any,
    nothing is changed.

    Yields
    ------
    threading.Event
        Set by an interrupt that is held back: whoever entered the context raises it.
    """
    asked = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    default = signal.default_int_handler
    if not (active and main and signal.getsignal(signal.SIGINT) is default):
        yield asked
        return

    def note(number, frame):
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, default)
