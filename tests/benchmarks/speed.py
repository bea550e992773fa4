"""Time of a step beside memory, matrix products and other packages, all in one process.

Only ratios mean anything: the calls take turns, and what is compared is medians of the same run.

    python tests/benchmarks/speed.py [--small] [--alone] [--repeats N] [--clock wall|processor]
"""

import argparse
import platform
import time

import numpy as np
import peers

from wgf.eulerian import kernels, transport_kernels
from wgf.eulerian.explicit import FiniteVolume
from wgf.eulerian.implicit import ImplicitFiniteVolume
from wgf.eulerian.variation import Variation
from wgf.flows import GradientFlow
from wgf.functional.features import Neurons
from wgf.functional.losses import Squared
from wgf.functional.terms import L1, Risk
from wgf.lagrangian.empirical import EmpiricalFunctional
from wgf.measures.density import Density
from wgf.measures.mesh import Axis, Mesh
from wgf.measures.particles import Particles
from wgf.parallel import threads

SAMPLES = 1000
MESHES = ((512, 512), (2048, 2048), (128, 128, 128), (256, 256, 256))
SMALL = ((128, 128), (32, 32, 32))
# seconds after which a call is timed no more: others are a thousand times slower than ours
PATIENCE = 5.0
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def alternate(calls, repeats, clock="wall", pause=0.0, patience=np.inf):
    """Return the times of all calls, taking turns after one warm-up each, ``(calls, repeats)``.

    On a machine that others use too, one thread and the time of the `processor` tell more than the
    time of the wall. A `pause` before each call, in seconds, lets the threads of the call before
    go to sleep: those of linear algebra libraries wait busily for a while. A call that was timed
    twice and took more than `patience` seconds in all is left out of the turns that follow: its
    times there are NaN.
    """
    now = CLOCKS[clock]
    times = np.full((len(calls), repeats), np.nan)
    for call in calls:
        call()
    for k in range(repeats):
        for row, call in zip(times, calls):
            if k >= 2 and np.nansum(row) > patience:
                continue
            time.sleep(pause)
            start = now()
            call()
            row[k] = now() - start
    return times


def machine(clock="wall"):
    """Return one line about the machine: processor, threads, STREAM triad, dgemm."""
    cells = 1 << 22
    a, b, c = (kernels.empty(cells) for _ in range(3))
    for k, values in enumerate((a, b, c)):
        values[:] = k
    left = np.random.default_rng(0).random((1024, 1024))
    times = alternate([lambda: kernels.triad(a, b, c), lambda: left @ left], 7, clock)
    stream, product = np.median(times, axis=1)
    return (
        f"{_processor()}, {threads.number()} threads, "
        f"triad {24 * cells / stream / 1e9:.0f} GB/s, dgemm {2 * 1024**3 / product / 1e9:.0f} "
        f"GFLOP/s, {clock} time"
    )


def _processor():
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


class Transport:
    """Our step on a `peers.Case`, with its step bound and dissipation."""

    def __init__(self, case, order):
        self.case, self.order = case, order
        self.shape = (1,) * (4 - len(case.shape)) + case.shape
        missing = 4 - len(case.shape)
        self.periodic = (False,) * missing + (True,) * len(case.shape)
        self.rates = np.array([0.0] * missing + [1.0] * len(case.shape))
        self.start, self.potential, *self.room = (
            kernels.empty(case.density.size) for _ in range(5)
        )
        self.start[:], self.potential[:] = case.density.ravel(), case.potential.ravel()
        rows = case.density.size // case.shape[-1]
        self.outflow, self.loss = np.empty(rows), np.empty(rows)
        self.variation = Variation.stored(self.potential, self.shape)
        self.scratch = transport_kernels.room(self.shape)
        self.kind = transport_kernels.kind_of(self.shape, self.order)

    def stage(self, density, base, result, keep):
        """Do one stage and return its step bound."""
        transport_kernels.transport(
            density, self.variation.arrays, base, result, self.shape, self.periodic, self.rates,
            self.case.dt, keep, self.kind, self.outflow, self.loss, 0, self.loss.size,
            self.scratch,
        )  # fmt: skip
        return self.outflow.max(), self.loss.sum()

    def step(self, density, result):
        """Make one step."""
        if self.order == 1:
            self.stage(density, density, result, 0.0)
        else:
            self.stage(density, density, self.room[2], 0.0)
            self.stage(self.room[2], density, result, 0.5)

    def __call__(self):
        density, results = self.start, self.room[:2]
        for k in range(peers.STEPS):
            self.step(density, results[k % 2])
            density = results[k % 2]
        return density.reshape(self.case.shape)


def transport_rows(shape, order, repeats, beside, clock="wall"):
    """Return rows ``(mesh, order, who, median, lowest, highest, difference)``.

    The first row is our step in units of the triad, the others are peers in units of our step;
    `difference` is the largest one from our result, relative to the largest density.
    """
    case = peers.Case(shape)
    ours = Transport(case, order)
    a, b, c = (kernels.empty(case.density.size) for _ in range(3))
    for values in (a, b, c):
        values[:] = 1.0
    calls = {"triad": lambda: kernels.triad(a, b, c), "wgf": ours}
    if beside:
        calls |= dict(peers.installed(case, order))
    expected = ours().copy()
    times = alternate(list(calls.values()), repeats, clock, patience=PATIENCE)
    times[1:] /= peers.STEPS
    mesh = " × ".join(map(str, shape))
    stream, own = times[:2]
    rows = [(mesh, order, "wgf", *_spread(own, stream), 0.0)]
    for name, found in list(zip(calls, times))[2:]:
        gap = np.abs(calls[name]() - expected).max() / expected.max()
        rows.append((mesh, order, name, *_spread(found, own), gap))
    return rows


def _spread(times, unit):
    middle = np.nanmedian(unit)
    return tuple(measure(times) / middle for measure in (np.nanmedian, np.nanmin, np.nanmax))


def step_rows(small, repeats, clock="wall"):
    """Return rows ``(problem, ratio, rank)``: a whole second-order step over its two stages."""
    generator = np.random.default_rng(2)
    one, two = generator.uniform(-1, 1, SAMPLES), generator.normal(size=(SAMPLES, 2))
    cases = [
        ((512, 512), "a w", Neurons(one, "tanh")),
        ((128, 128, 128), "a w b", Neurons(one, "tanh", bias=True)),
        ((96, 96, 96), "a w1 w2", Neurons(two, "tanh")),
    ]
    rows = []
    for shape, names, features in cases:
        shape = tuple(n // 4 for n in shape) if small else shape
        stepper = _stepper(shape, names.split(), features, FiniteVolume())
        values = stepper.values
        potential = stepper.variation.fill(kernels.empty(values.size))
        given = Variation.stored(potential, stepper.slab.shape)

        def stages(upwind=stepper.upwind, values=values, given=given):
            upwind.transport(values, given, values, upwind.stage, 1e-4, 0.0)
            upwind.transport(upwind.stage, given, values, upwind.candidate, 1e-4, 0.5)

        whole, bare = alternate([lambda s=stepper: s.advance(10.0), stages], repeats, clock)
        text = f"tanh ({names.replace(' ', ', ')}), {' × '.join(map(str, shape))}"
        rank = stepper.discrete.operators[0].rank
        rows.append((text, np.median(whole) / np.median(bare), rank))
    return rows


def _stepper(shape, names, features, method):
    """Prepare a regression with neurons on a mesh."""
    targets = np.random.default_rng(1).normal(size=features.size)
    flow = GradientFlow(Risk(features, Squared(targets)) + L1(1e-3, "a"))
    mesh = Mesh(**{name: Axis(-4, 4, n) for name, n in zip(names, shape)})
    return method.prepare(flow, Density.normal(mesh, 0.2, 1.0))


def implicit_ratio(repeats, clock="wall"):
    """Return the time of an implicit step over that of an explicit one at 161 × 128 cells."""
    inputs = np.random.default_rng(2).uniform(-1, 1, SAMPLES)
    regression = (161, 128), ("a", "w"), Neurons(inputs, "tanh")
    explicit = _stepper(*regression, FiniteVolume())
    implicit = _stepper(*regression, ImplicitFiniteVolume(0.05))
    calls = [lambda: explicit.advance(10.0), lambda: implicit.advance(0.05)]
    return _spread(*alternate(calls, repeats, clock)[::-1])


def particle_rows(count, dimension, repeats, beside, clock="wall"):
    """Return rows ``(who, median, lowest, highest, difference)`` in units of our full gradient.

    Matrix products: the two that the gradient needs at least, forward and back.
    """
    generator = np.random.default_rng(3)
    inputs, targets = generator.normal(size=(SAMPLES, dimension)), generator.normal(size=SAMPLES)
    inputs /= np.sqrt(dimension)
    points = generator.normal(size=(count, dimension + 1))
    functional = Risk(Neurons(inputs, "tanh"), Squared(targets))
    empirical = EmpiricalFunctional(GradientFlow(functional), Particles(points))
    points = np.ascontiguousarray(points)

    room = np.empty_like(points)

    def ours():
        return empirical.smooth_gradient(points, empirical.outputs(points), room)

    weights = points[:, 1:].copy()

    def products():
        for low in range(0, count, 1000):
            (weights[low : low + 1000] @ inputs.T) @ inputs

    calls = {"wgf": ours, "matrix products": products}
    if beside:
        calls |= dict(peers.particle_peers(inputs, targets, points))
    expected = ours().copy()
    times = alternate(list(calls.values()), repeats, clock, 0.1, PATIENCE)
    rows = []
    for (name, call), found in zip(calls.items(), times):
        result = call()
        gap = np.nan if result is None else np.abs(result - expected).max()
        rows.append((name, *_spread(found, times[0]), gap / np.abs(expected).max()))
    return rows


def report(small=False, beside=True, repeats=9, clock="wall"):
    """Yield the lines of a Markdown report.

    Parameters
    ----------
    small : bool
        Small meshes and few particles: seconds instead of minutes.
    beside : bool
        Whether to run the other packages that are installed.
    repeats : int
        Of each call; those that take seconds are timed twice, see `alternate`.
    clock : {"wall", "processor"}
    """
    yield machine(clock)
    yield ""
    yield "| mesh | order | who | time of a step | lowest – highest | unit | difference |"
    yield "|---|---|---|---|---|---|---|"
    for shape in SMALL if small else MESHES:
        for order in (1, 2):
            for row in transport_rows(shape, order, repeats, beside, clock):
                mesh, _, who, ratio, low, high, gap = row
                yield (
                    f"| {mesh} | {order} | {who} | {ratio:.2f} | {low:.2f} – {high:.2f} "
                    f"| {'triad' if who == 'wgf' else 'wgf'} | {gap:.0e} |"
                )
    yield ""
    yield "| problem (1000 samples) | whole step / two stages | rank of the features |"
    yield "|---|---|---|"
    for text, ratio, rank in step_rows(small, repeats, clock):
        yield f"| {text} | {ratio:.2f} | {rank or 'full'} |"
    ratio, low, high = implicit_ratio(repeats, clock)
    yield ""
    yield (
        f"An implicit step at 161 × 128 takes the time of {ratio:.1f} explicit ones "
        f"({low:.1f} – {high:.1f})."
    )
    yield ""
    yield "| particles, full gradient | who | time / wgf | lowest – highest | difference |"
    yield "|---|---|---|---|---|"
    count = 2000 if small else 100_000
    for dimension in (2, 100):
        rows = particle_rows(count, dimension, max(1, repeats // 3), beside, clock)
        for who, ratio, low, high, gap in rows:
            shown = "" if np.isnan(gap) else f"{gap:.0e}"
            yield (
                f"| m = {count}, d = {dimension} | {who} | {ratio:.2f} | {low:.2f} – {high:.2f} "
                f"| {shown} |"
            )


def main(argv=None):
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--small", action="store_true", help="small meshes: seconds, not minutes")
    options.add_argument("--alone", action="store_true", help="leave the other packages out")
    options.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help="time that counts")
    options.add_argument("--repeats", type=int, default=9, help="of every call (default 9)")
    chosen = options.parse_args(argv)
    if chosen.repeats < 1:
        options.error(f"--repeats: {chosen.repeats} is too small, give at least 1")
    for line in report(chosen.small, not chosen.alone, chosen.repeats, chosen.clock):
        print(line, flush=True)


if __name__ == "__main__":
    main()
