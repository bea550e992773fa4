"""Steps on a machine that also does something else: default threads against fixed numbers.

    python tests/benchmarks/busy.py [steps] [command] [first] [pairs] [--small]

Everything is measured alone and beside as many computing processes as there are processors, which
this script starts and ends. The calls of a row take turns, so that its ratios hold on any day:

steps    default threads over the best fixed number, and the gain of all threads over one beside
         that of a triad over the same number of cells
command  the README's first command, compiled, five times alone and five times beside neighbours
first    the first run after an installation against the second
pairs    forces among interacting particles against the direct sum
"""

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from unittest import mock

import numpy as np

import wgf
from wgf.eulerian import kernels
from wgf.lagrangian.empirical import EmpiricalFunctional
from wgf.parallel import threads
from wgf.parallel.pool import Balance, pool
from wgf.parallel.processors import processors

ROOT = pathlib.Path(__file__).parents[2]
X = np.linspace(-1, 1, 40)


def compute(go_on):
    """Keep a processor busy until told to end or left alone."""
    parent, values = os.getppid(), np.ones(1 << 14)
    while go_on.value and os.getppid() == parent:
        values = np.sqrt(values + 1.0)


@contextlib.contextmanager
def neighbours(count):
    """Keep a given number of processors busy with processes that compute."""
    context = multiprocessing.get_context("spawn")
    go_on = context.Value("b", 1, lock=False)
    running = [context.Process(target=compute, args=(go_on,), daemon=True) for _ in range(count)]
    for each in running:
        each.start()
    time.sleep(2.0 if running else 0.0)
    try:
        yield
    finally:
        go_on.value = 0
        for each in running:
            each.join()


def well():
    """Return a flow in a well on the line and its start."""
    mesh = wgf.Mesh(x=wgf.Axis(-3, 3, 200))
    flow = wgf.GradientFlow(wgf.Potential(lambda p: 0.5 * p[:, 0] ** 2))
    return flow, wgf.Density.normal(mesh, 0.5, 0.5)


def neurons(cells, bias=False):
    """Return a flow of tanh neurons with 40 samples and its start, ``(a, w)`` or ``(a, w, b)``."""
    names = ("a", "w", "b") if bias else ("a", "w")
    mesh = wgf.Mesh(**{name: wgf.Axis(-3, 3, cells) for name in names})
    risk = wgf.Risk(wgf.Neurons(X, "tanh", bias=bias), wgf.Squared(np.sin(3 * X)))
    return wgf.GradientFlow(risk), wgf.Density.normal(mesh, (0.3, 0.5, 0.1)[: len(names)], 0.5)


def beats():
    """Return the flow of ecg_2d and its start."""
    from wgf.command import runner

    system = runner.load_setup(ROOT / "solvers" / "ecg_2d.py")()
    return system["flow"], system["start"]


def step(flow, start):
    """Return a call that makes a short step of the default method, and the number of cells."""
    stepper = wgf.FiniteVolume().prepare(flow, start)
    return lambda: stepper.advance(1e-7), start.size


def gradient(particles, samples):
    """Return a call that evaluates the model output and the gradient of particles."""
    generator, x = np.random.default_rng(0), np.linspace(-1, 1, samples)
    flow = wgf.GradientFlow(wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))))
    start = wgf.Particles(generator.normal(size=(particles, 2)))
    functional = EmpiricalFunctional(flow, start)
    points = start.points.copy()

    def call():
        functional.smooth_gradient(points, functional.outputs(points))

    return call, 0


def cases(small):
    """Yield ``(what, call, cells)``."""
    yield "1-D, 200 cells", *step(*well())
    yield "2-D, 64²", *step(*neurons(64))
    yield "2-D, 256²", *step(*neurons(256))
    if not small:
        yield "2-D, 512²", *step(*neurons(512))
    yield "3-D, 32³", *step(*neurons(32, True))
    if not small:
        yield "3-D, 64³", *step(*neurons(64, True))
        yield "3-D, 96³", *step(*neurons(96, True))
    yield "ecg_2d", *step(*beats())
    yield "2,000 particles × 40 samples", *gradient(2000, 40)
    if not small:
        yield "100,000 particles × 1,000 samples", *gradient(10**5, 1000)


@contextlib.contextmanager
def fixed(count):
    """Share every loop that is worth it among a fixed number of threads."""
    with mock.patch.object(pool, "balance", Balance()) as balance, threads.using(count):
        balance.count = lambda *_: None
        yield


def seconds(call, seconds_each):
    """Return the mean time per call, over at least one call and about the given seconds."""
    began, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - began < seconds_each:
        call()
        count += 1
    return (time.perf_counter() - began) / count


def compare(call, counts, repeats, each):
    """Return the median times of a call with default threads and with fixed numbers of them."""
    ways = {None: threads.using, **{n: (lambda n=n: fixed(n)) for n in counts}}
    found = {way: [] for way in ways}
    with threads.using():
        for _ in range(repeats):
            for way, enter in ways.items():
                with enter():
                    found[way].append(seconds(call, each))
    return {way: statistics.median(times) for way, times in found.items()}


def step_rows(small):
    """Yield the lines of the table of steps."""
    counts = sorted({1, processors()})
    repeats, each = (5, 0.1) if small else (9, 0.4)
    yield "| what | step, ms | default / best fixed, alone | beside | threads gain (triad) |"
    yield "|---|---|---|---|---|"
    for what, call, cells in cases(small):
        call()
        found = {}
        for beside in (0, processors()):
            with neighbours(beside):
                found[beside] = compare(call, counts, repeats, each)
        ratios = [t[None] / min(t[n] for n in counts) for t in found.values()]
        alone = found[0]
        gain = f"{alone[1] / alone[counts[-1]]:.2f}"
        if cells:
            a, b, c = (kernels.empty(cells) for _ in range(3))
            b[:], c[:] = 1.0, 2.0
            triad = compare(lambda a=a, b=b, c=c: kernels.triad(a, b, c), counts, repeats, each / 4)
            gain += f" ({triad[1] / triad[counts[-1]]:.2f})"
        yield f"| {what} | {1e3 * alone[None]:.3g} | {ratios[0]:.2f} | {ratios[1]:.2f} | {gain} |"


def run(folder, **environment):
    """Return the seconds that the README's first command takes."""
    command = [sys.executable, "-m", "wgf", "run", str(ROOT / "solvers" / "ecg_2d.py")]
    command += ["--method", "both", "--quiet", "--overwrite", "--out", f"{folder}/ecg"]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    settings = {**os.environ, "PYTHONPATH": paths, **environment}
    began = time.perf_counter()
    subprocess.run(command, env=settings, check=True, capture_output=True)
    return time.perf_counter() - began


def command_rows(small):
    """Yield the lines of the table of whole runs."""
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        run(folder)
        for what, count in {"alone": 0, "beside": processors()}.items():
            with neighbours(count):
                times[what] = [run(folder) for _ in range(2 if small else 5)]
    yield "| | least | greatest, s |"
    yield "|---|---|---|"
    for what, found in times.items():
        yield f"| {what} | {min(found):.2f} | {max(found):.2f} |"
    every = [t for found in times.values() for t in found]
    yield f"| greatest over least | | {max(every) / min(every):.2f} |"


def first_rows(small):
    """Yield the lines of the table of first contact."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (run(folder, NUMBA_CACHE_DIR=f"{folder}/cache") for _ in range(2))
    yield "| first run, s | second | more |"
    yield "|---|---|---|"
    yield f"| {first:.1f} | {second:.1f} | {first - second:.1f} |"


TABLES = {"steps": step_rows, "command": command_rows, "first": first_rows}


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="*", help=f"{', '.join(TABLES)} (default: all)")
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
    chosen = parser.parse_args()
    print(f"{processors()} processors, load {os.getloadavg()[0]:.1f} at the start")
    for name in chosen.tables or TABLES:
        print(f"\n{name}\n")
        for line in TABLES[name](chosen.small):
            print(line, flush=True)


if __name__ == "__main__":
    main()
