"""Time of a mesh step in units of a STREAM triad over arrays of the same size, in one run.

    python tests/benchmarks/mesh_step.py [--small]

Prints a Markdown table: the transport kernel with a given potential (one stage, step bound and
dissipation included), and the whole second-order step of regression problems with 1000 samples in
units of its own two transport stages. Ratios only: absolute times depend on the machine and on
what else it does.
"""

import platform
import sys
import time

import numpy as np
from numba import get_num_threads, njit, prange

import wgf
from wgf.eulerian import transport_kernels

REPEATS = 9
SAMPLES = 1000


@njit(parallel=True)
def triad(a, b, c):
    for i in prange(a.size):
        a[i] = b[i] + 2.5 * c[i]


def median_times(*calls):
    """Return the median time of each call, the calls taking turns after one warm-up each."""
    times = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(REPEATS):
        for call, found in zip(calls, times):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return [float(np.median(found)) for found in times]


def transport_row(shape):
    """Return the ratios of a first- and a second-order stage to the triad."""
    full = (1,) * (4 - len(shape)) + shape
    generator = np.random.default_rng(0)
    cells = int(np.prod(shape))
    a, b, c, xi = (generator.random(cells) for _ in range(4))
    rates = np.array([0.0] * (4 - len(shape)) + [1.0] * len(shape))
    outflow, loss = np.empty(cells // full[3]), np.empty(cells // full[3])

    def stage(second):
        transport_kernels.transport(
            b, xi, b, a, full, (False,) * 4, rates, 1e-3, 0.0, second, outflow, loss,
            0, cells // full[3],
        )  # fmt: skip

    stream, first, second = median_times(
        lambda: triad(a, b, c), lambda: stage(False), lambda: stage(True)
    )
    return first / stream, second / stream, 3 * 8 * cells / stream / 1e9


def step_row(shape, names, features):
    """Return the ratio of the whole step to two transport stages, and the rank if compressed."""
    generator = np.random.default_rng(1)
    risk = wgf.Risk(features, wgf.Squared(generator.normal(size=SAMPLES)))
    mesh = wgf.Mesh(**{name: wgf.Axis(-4, 4, n) for name, n in zip(names, shape)})
    start = wgf.Density.normal(mesh, 0.2, 1.0)
    stepper = wgf.FiniteVolume().prepare(wgf.GradientFlow(risk + wgf.L1(1e-3, "a")), start)

    def stages():
        values, potential = stepper.values, stepper.potential
        stepper._transport(values, potential, values, stepper._stage, 1e-4, 0.0)
        stepper._transport(stepper._stage, potential, values, stepper._candidate, 1e-4, 0.5)

    whole, bare = median_times(lambda: stepper.advance(10.0), stages)
    return whole / bare, stepper.discrete.operators[0].rank


def main():
    small = "--small" in sys.argv
    print(f"{platform.processor() or platform.machine()}, {get_num_threads()} threads\n")
    print("| mesh | first-order stage / triad | second-order stage / triad | triad GB/s |")
    print("|---|---|---|---|")
    for shape in ((512, 512), (64, 64, 64)) if small else ((2048, 2048), (256, 256, 256)):
        first, second, rate = transport_row(shape)
        print(f"| {' × '.join(map(str, shape))} | {first:.2f} | {second:.2f} | {rate:.0f} |")
    generator = np.random.default_rng(2)
    one, two = generator.uniform(-1, 1, SAMPLES), generator.normal(size=(SAMPLES, 2))
    cases = [
        ((512, 512), "a w", wgf.Neurons(one, "tanh")),
        ((128, 128, 128), "a w b", wgf.Neurons(one, "tanh", bias=True)),
        ((96, 96, 96), "a w1 w2", wgf.Neurons(two, "tanh")),
    ]
    print("\n| problem (1000 samples) | whole step / two stages | rank of the features |")
    print("|---|---|---|")
    for shape, names, features in cases:
        if small:
            shape = tuple(n // 2 for n in shape)
        ratio, rank = step_row(shape, names.split(), features)
        text = f"tanh ({names.replace(' ', ', ')}), {' × '.join(map(str, shape))}"
        print(f"| {text} | {ratio:.2f} | {rank or 'full'} |")


if __name__ == "__main__":
    main()
