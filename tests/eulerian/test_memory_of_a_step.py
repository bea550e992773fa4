"""What a step of the explicit method allocates: nothing that stays, and little at all."""

import gc
import tracemalloc

import numpy as np
import pytest

import wgf
from wgf.eulerian.explicit import ExplicitStepper


def prepared(cells):
    inputs = np.linspace(-1, 1, 30)
    risk = wgf.Risk(wgf.Neurons(inputs, "tanh"), wgf.Squared(np.sin(3 * inputs)))
    mesh = wgf.Mesh(a=wgf.Axis(-3, 3, cells), w=wgf.Axis(-3, 3, cells))
    start = wgf.Density.normal(mesh, 0.2, 0.7)
    return wgf.FiniteVolume().prepare(wgf.GradientFlow(risk + wgf.L1(1e-3, "a")), start)


def test_a_thousand_steps_leave_nothing_behind():
    stepper = prepared(24)
    for _ in range(20):
        stepper.advance(1e-3)
    tracemalloc.start()
    try:
        stepper.advance(1e-3)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            stepper.advance(1e-3)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # one array of this mesh has 4608 bytes
    assert after - before < 4000


@pytest.mark.parametrize("arrays, stores", [(3, False), (5, True)])
def test_second_order_needs_three_arrays_and_five_with_a_stored_variation(
    arrays, stores, monkeypatch
):
    monkeypatch.setattr(ExplicitStepper, "stores", stores)
    prepared(16).advance(1e-3)
    gc.collect()
    tracemalloc.start()
    try:
        stepper = prepared(400)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(5):
            stepper.advance(1e-3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # the rest: rows of sums, the feature matrix of one axis, room of the kernel
    assert arrays <= peak / stepper.values.nbytes < arrays + 0.5
    assert (peak - held) / stepper.values.nbytes < 0.1
