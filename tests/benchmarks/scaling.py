"""Time of a step against cells, samples, particles and threads, and where memory ends.

    python tests/benchmarks/scaling.py [growth] [threads] [memory] [--small] [--clock processor]

Prints Markdown tables. The exponents are slopes of a line through the logarithms, of all sizes and
of the last two; only they and the ratios within a row mean anything elsewhere. The time by threads
is the least one of the wall, since others on the machine disturb all threads at once. Where memory
ends follows from the bytes that a cell or a particle takes at the most, steps and all, and from
the memory of the machine.
"""

import argparse
import os
import tracemalloc

import numpy as np
import peers
import speed

import wgf
from wgf.lagrangian.empirical import EmpiricalFunctional
from wgf.parallel import threads


def transport(cells, dimension):
    """Return the second-order transport step on about so many cells."""
    side = round(cells ** (1 / dimension) / 4) * 4
    case = peers.Case((side,) * dimension)
    # the peers' own, as large as four densities
    del case.courants
    return speed.Transport(case, 2)


def regression(samples, inputs):
    """Return the flow of tanh neurons that learn random data."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(samples, inputs))
    return wgf.GradientFlow(
        wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(generator.normal(size=samples)))
    )


def gradient(samples, particles):
    """Return the full gradient of two-dimensional neurons."""
    points = np.random.default_rng(1).normal(size=(particles, 3))
    empirical = EmpiricalFunctional(regression(samples, 2), wgf.Particles(points))
    return lambda: empirical.smooth_gradient(points, empirical.outputs(points))


def step(samples, side):
    """Return a whole second-order step of one-dimensional neurons."""
    mesh = wgf.Mesh(a=wgf.Axis(-4, 4, side), w=wgf.Axis(-4, 4, side))
    start = wgf.Density.normal(mesh, 0.2, 1.0)
    stepper = wgf.FiniteVolume().prepare(regression(samples, 1), start)
    return lambda: stepper.advance(1e-3)


def studies(small):
    """Yield ``(what, decades, make)``."""
    most = {"cells": 5, "samples": 3, "particles": 4} if small else {}
    cells, samples, particles = (
        range(low, most.get(name, high) + 1)
        for name, low, high in (("cells", 4, 8), ("samples", 2, 5), ("particles", 2, 7))
    )
    yield "cells of a plane, transport step", cells, lambda n: transport(n, 2)
    yield "cells of a volume, transport step", cells, lambda n: transport(n, 3)
    yield "samples, whole step of (a, w) on 256 × 256", samples, lambda n: step(n, 256)
    yield "samples, gradient of 2000 particles", samples, lambda n: gradient(n, 2000)
    yield "particles, gradient with 200 samples", particles, lambda m: gradient(200, m)


def slope(sizes, times):
    """Return the exponent of a power law through the points."""
    return np.polyfit(np.log(sizes), np.log(times), 1)[0]


def growth_rows(small, clock):
    """Yield the lines of the table of growth."""
    for what, decades, make in studies(small):
        sizes, times = [10.0**k for k in decades], []
        for size in sizes:
            repeats = 7 if size < 1e7 else 3
            times.append(np.median(speed.alternate([make(int(size))], repeats, clock)))
        units = [t / n / (times[0] / sizes[0]) for t, n in zip(times, sizes)]
        shown = ", ".join(f"{unit:.2g}" for unit in units)
        yield (
            f"| {what} | {sizes[0]:.0e} – {sizes[-1]:.0e} | {shown} "
            f"| {slope(sizes, times):.2f} | {slope(sizes[-2:], times[-2:]):.2f} |"
        )


def thread_rows(small):
    """Yield the lines of the table of threads."""
    cells, side, particles = (10**5, 64, 10**3) if small else (4 * 10**6, 1024, 10**5)
    calls = {
        f"transport step, {cells:.0e} cells": transport(cells, 2),
        f"whole step of (a, w), {side} × {side}, 1000 samples": step(1000, side),
        f"gradient of {particles:.0e} particles, 1000 samples": gradient(1000, particles),
    }
    counts = sorted({1, threads.default()})

    def on(count, call):
        with threads.using(count):
            call()

    for what, call in calls.items():
        turns = [lambda count=count, call=call: on(count, call) for count in counts]
        with threads.using():
            times = speed.alternate(turns, 25).min(axis=1)
        yield f"| {what} | {counts[-1]} | {times[0] / times[-1]:.2f} |"


def memory_rows(small):
    """Yield the lines of the table of memory."""
    page = os.sysconf("SC_PAGE_SIZE")
    machine = os.sysconf("SC_PHYS_PAGES") * page
    side, particles = (64, 10**4) if small else (1024, 10**6)

    def particle_step():
        points = np.random.default_rng(1).normal(size=(particles, 3))
        method = wgf.RungeKutta()
        method.prepare(regression(10, 2), wgf.Particles(points)).advance(1e-6)

    cases = [
        ("cell, second order", side**2, lambda: step(1000, side)()),
        ("particle of three coordinates, Runge-Kutta", particles, particle_step),
    ]
    for what, count, call in cases:
        # what does not grow with the number is there already
        call()
        tracemalloc.start()
        call()
        each = tracemalloc.get_traced_memory()[1] / count
        tracemalloc.stop()
        yield f"| {what} | {each:.0f} | {machine / 2**30:.1f} | {machine / each:.1e} |"


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", help="growth, threads, memory (default: all)")
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--clock", choices=tuple(speed.CLOCKS), default="wall")
    chosen = parser.parse_args()
    print(speed.machine(chosen.clock) + "\n")
    tables = {
        "growth": (
            "| against | sizes | time a unit over that of the first size, decade by decade "
            "| exponent | last decade |",
            growth_rows(chosen.small, chosen.clock),
        ),
        "threads": ("| what | threads | times as fast as one |", thread_rows(chosen.small)),
        "memory": ("| one | bytes | memory, GiB | most of them |", memory_rows(chosen.small)),
    }
    for name in chosen.tables or tables:
        heading, lines = tables[name]
        print(heading + "\n|" + "---|" * (heading.count("|") - 1))
        for line in lines:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
