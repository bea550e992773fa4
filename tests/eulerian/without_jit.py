"""The kernels in plain Python: a process of its own, run by test_without_jit.py.

    NUMBA_DISABLE_JIT=1 python tests/eulerian/without_jit.py STATES.npz

The vector instructions and addresses that the kernels ask of the compiler are given the meaning
that their docstrings tell. The transport kernel is held against the NumPy reference, and the states
after a few steps are written for comparison with those of the compiled kernels.
"""

import itertools
import struct
import sys

import numba.extending
import numpy as np
import test_transport_kernel

import wgf
from wgf.eulerian import transport_kernels
from wgf.lagrangian import kernels


class Address:
    """Where a number of an array lies: indexed from there on, to both sides."""

    def __init__(self, values, place=0):
        self.values, self.place = values, place

    def __getitem__(self, index):
        assert self.place + index >= 0
        return self.values[self.place + index]

    def __setitem__(self, index, value):
        assert self.place + index >= 0
        self.values[self.place + index] = value

    def shifted(self, cells):
        """Return the address so many numbers on."""
        return Address(self.values, self.place + cells)

    def aligned(self):
        """Return the first address from here on that begins a line of the cache."""
        place = self.values.ctypes.data // 8 + self.place
        return self.shifted(-place % (transport_kernels.LINE // 8))


def shifted_to_exponent(number):
    """Return the number whose exponent is the low bits of the significand of `number`."""
    (whole,) = struct.unpack("q", struct.pack("d", number))
    return struct.unpack("d", struct.pack("Q", (whole << 52) % 2**64))[0]


MEANINGS = {
    "larger": max,
    "smaller": min,
    "fused": lambda left, right, term: left * right + term,
    "plus": lambda left, right: left + right,
    "at": Address,
    "shifted": Address.shifted,
    "aligned": Address.aligned,
    "shifted_to_exponent": shifted_to_exponent,
}


def explain():
    """Give what is asked of the compiler its meaning in Python."""
    asked = type(numba.extending.intrinsic(lambda typing: None))
    for module in (transport_kernels, kernels):
        for name, value in list(vars(module).items()):
            if isinstance(value, asked):
                setattr(module, name, MEANINGS[name])


def states():
    """Return numbers of a few steps of every kind, by name."""
    x = np.linspace(-1, 1, 7)
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 9), w=wgf.Axis(-3, 3, 10), b=wgf.Axis(-2, 2, 6))
    start, found = wgf.Density.normal(mesh, 0.2, 0.8), {}
    for name in ("tanh", "relu"):
        risk = wgf.Risk(wgf.Neurons(x, name, bias=True), wgf.Squared(np.sin(3 * x)))
        flow = wgf.GradientFlow(risk + wgf.Ridge(1e-2))
        particles = wgf.Particles(np.random.default_rng(0).normal(size=(12, 3)))
        methods = {
            "order 1": (wgf.FiniteVolume(1), start),
            "order 2": (wgf.FiniteVolume(2), start),
            "implicit": (wgf.ImplicitFiniteVolume(0.05), start),
            "particles": (wgf.RungeKutta(), particles),
        }
        for method, (chosen, begin) in methods.items():
            stepper = chosen.prepare(flow, begin)
            for _ in range(2):
                row = stepper.advance(1e-2)
            measure = stepper.measure
            state = measure.points if method == "particles" else measure.values
            found[f"{name} {method}"] = state
            found[f"{name} {method} output"] = stepper.output
            found[f"{name} {method} row"] = np.array([row["mass"], row["objective"]])
    return found


def main():
    """Run all cases of the test of the compiled kernel and write the states."""
    assert numba.config.DISABLE_JIT
    explain()
    for shape, wraps, second in itertools.product(
        test_transport_kernel.SHAPES, (False, True), (False, True)
    ):
        test_transport_kernel.test_the_kernel_is_the_scheme(shape, wraps, second)
    np.savez(sys.argv[1], **states())


if __name__ == "__main__":
    main()
