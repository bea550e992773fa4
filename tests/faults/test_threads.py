"""One bit pattern a method, whatever the number of threads."""

import json

import fault_kit
import fault_problems
import pytest


def bits(threads, names=()):
    """Return the digests of runs on given numbers of threads, of wgf and of the linear algebra."""
    names_of = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    numbers = dict.fromkeys(names_of, str(threads))
    done = fault_kit.worker("bits", threads, *names, **numbers)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_threads_give_the_bits_of_one():
    names = ("FiniteVolume 2", "GradientDescent", "many inputs tanh")
    assert bits(1, names) == bits(2, names)


@pytest.mark.slow
def test_any_threads_give_one_bit_pattern(figure):
    found, counts = {}, (1, 2, 3, 8)
    for threads in counts:
        for name, pattern in bits(threads).items():
            found.setdefault(name, set()).add(pattern)
    assert all(len(patterns) == 1 for patterns in found.values()), found
    assert set(found) == set(fault_problems.NAMES_ON_THREADS)
    figure(f"{counts} threads: one bit pattern for each of {len(found)} problems")


def test_every_method_is_among_the_problems():
    import wgf

    methods = {type(fault_problems.problem(n)["method"]).__name__ for n in fault_problems.METHODS}
    public = {name for name in wgf.__all__ if hasattr(getattr(wgf, name), "prepare")}
    assert methods == public
