"""Time of a step against cells, samples and particles, with fitted exponents.

    python tests/benchmarks/scaling.py [--clock processor]

Prints a Markdown table: the exponent is the slope of a line through the logarithms. Only the
exponents and the ratios within a row mean anything elsewhere.
"""

import argparse

import numpy as np

from wgf import bench, peers
from wgf.features import Neurons
from wgf.flows import GradientFlow
from wgf.lagrangian.empirical import EmpiricalFunctional
from wgf.losses import Squared
from wgf.measure import Particles
from wgf.terms import Risk


def transport(cells):
    side = round(cells**0.5 / 8) * 8
    return bench.Transport(peers.Case((side, side)), 2)


def gradient(samples, particles):
    generator = np.random.default_rng(0)
    risk = Risk(
        Neurons(generator.normal(size=(samples, 2)), "tanh"),
        Squared(generator.normal(size=samples)),
    )
    points = generator.normal(size=(particles, 3))
    empirical = EmpiricalFunctional(GradientFlow(risk), Particles(points))
    return lambda: empirical.smooth_gradient(points, empirical.outputs(points))


def studies():
    """Yield ``(what, sizes, make)``."""
    yield "cells, second-order step in the plane", (10**4, 10**5, 10**6, 10**7), transport
    yield "samples, 2000 particles", (10**2, 10**3, 10**4), lambda n: gradient(n, 2000)
    yield "particles, 200 samples", (10**2, 10**3, 10**4, 10**5), lambda m: gradient(200, m)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clock", choices=tuple(bench.CLOCKS), default="wall")
    clock = parser.parse_args().clock
    print(bench.machine(clock) + "\n")
    print("| against | sizes | time a unit over that of the first size | exponent |")
    print("|---|---|---|---|")
    for what, sizes, make in studies():
        times = [np.median(bench.alternate([make(size)], 5, clock)) for size in sizes]
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        units = [t / n / (times[0] / sizes[0]) for t, n in zip(times, sizes)]
        shown = ", ".join(f"{unit:.2f}" for unit in units)
        print(f"| {what} | {', '.join(f'{n:.0e}' for n in sizes)} | {shown} | {slope:.2f} |")


if __name__ == "__main__":
    main()
