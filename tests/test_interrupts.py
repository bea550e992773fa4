"""A run that is interrupted, as a cell of a notebook is, keeps what it has."""

import os
import signal
import threading

import numpy as np
import pytest

import wgf
from wgf.record import directory

FLOW = wgf.GradientFlow(wgf.Ridge(1.0))


@pytest.fixture(autouse=True)
def heeded():
    """Heed interrupts as at a prompt, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def begin():
    return wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-2, 2, 32)), 0.5, 0.3)


def interrupting(count, how):
    """Return a function of the rows that interrupts at one of them."""
    rows = []

    def at(row):
        rows.append(row)
        if len(rows) == count:
            how()

    return at


def signalled():
    os.kill(os.getpid(), signal.SIGINT)


def raised():
    raise KeyboardInterrupt


def test_an_interrupt_carries_the_solution_with_the_state_reached(tmp_path):
    straight = wgf.solve(FLOW, begin(), 0.5)
    with pytest.raises(KeyboardInterrupt) as caught:
        wgf.solve(FLOW, begin(), 0.5, save=tmp_path / "run", progress=interrupting(4, signalled))
    found = caught.value.solution
    assert found.status == "stopped" and len(found.times) == 2
    assert np.array_equal(found.diagnostics["t"], straight.diagnostics["t"][:4])
    assert found.times[-1] == found.diagnostics["t"][-1]
    stored = wgf.open_run(tmp_path / "run")
    assert stored.status == "stopped"
    assert np.array_equal(stored.final.values, found.final.values)
    # the record goes on to the bits of the straight run
    again = wgf.solve(FLOW, begin(), 0.5, save=tmp_path / "run", resume=True)
    assert again.status == "done" and np.array_equal(again.final.values, straight.final.values)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_within_a_step_keeps_what_was_done_before(tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        wgf.solve(FLOW, begin(), 0.5, save=tmp_path / "run", progress=interrupting(4, raised))
    found = caught.value.solution
    # the state itself may be half of a step, its rows are whole
    assert len(found.times) == 1 and len(found.diagnostics["t"]) == 4
    entries, closing = directory.read_manifest(tmp_path / "run")
    assert len(entries) == 1 and closing["status"] == "stopped"


def test_the_second_interrupt_is_not_held_back():
    def twice():
        signalled()
        signalled()

    with pytest.raises(KeyboardInterrupt) as caught:
        wgf.solve(FLOW, begin(), 0.5, progress=interrupting(4, twice))
    assert len(caught.value.solution.times) == 1


def test_other_handlers_and_threads_are_left_alone():
    seen = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        run = wgf.solve(FLOW, begin(), 0.5, progress=interrupting(4, signalled))
    finally:
        signal.signal(signal.SIGINT, before)
    assert run.status == "done" and seen == [signal.SIGINT]
    thread = threading.Thread(target=lambda: seen.append(wgf.solve(FLOW, begin(), 0.1).status))
    thread.start()
    thread.join()
    assert seen[-1] == "done"
