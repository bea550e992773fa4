"""One bit pattern a method, whatever the number of threads and the layer that makes them."""

import json
import os

import fault_kit
import fault_problems
import pytest

LAYERS = ("workqueue", "omp", "tbb")
# with fewer there is nothing to share
enough = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor")


def bits(threads, layer, names=()):
    """Return the digests of runs on so many threads, None where the layer is not installed."""
    numbers = dict.fromkeys(
        ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
        str(threads),
    )
    done = fault_kit.worker("bits", *names, NUMBA_THREADING_LAYER=layer, **numbers)
    if done.returncode and "threading layer could be loaded" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["layer"] == layer
    return found["bits"]


@enough
def test_two_threads_give_the_bits_of_one():
    names = ("FiniteVolume 2", "GradientDescent", "many inputs tanh")
    assert bits(1, "workqueue", names) == bits(2, "workqueue", names)


@enough
@pytest.mark.slow
def test_threads_and_layers_give_one_bit_pattern(figure):
    found, runs, missing = {}, 0, []
    for layer in LAYERS:
        for threads in (1, 2, 1, 2):
            told = bits(threads, layer)
            if told is None:
                missing.append(layer)
                break
            runs += 1
            for name, pattern in told.items():
                found.setdefault(name, set()).add(pattern)
    assert all(len(patterns) == 1 for patterns in found.values()), found
    assert set(found) == set(fault_problems.NAMES_ON_THREADS)
    # numba brings its own layer, and the system's OpenMP is all the second one needs
    assert "workqueue" not in missing
    figure(
        f"{runs} processes of 1 and 2 threads, layers not installed: {missing or 'none'}: "
        f"one bit pattern for each of {len(found)} problems"
    )


def test_every_method_is_among_the_problems():
    import wgf

    methods = {type(fault_problems.problem(n)["method"]).__name__ for n in fault_problems.METHODS}
    public = {name for name in wgf.__all__ if hasattr(getattr(wgf, name), "prepare")}
    assert methods == public
