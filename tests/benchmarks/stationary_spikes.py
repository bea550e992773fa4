"""Sparse deconvolution to its minimum: implicit steps against explicit ones, to the same gap.

    python tests/benchmarks/stationary_spikes.py [--small] [--longest SECONDS] [--clock processor]

The spikes of solvers/spikes_2d.py, whose minimum over the mesh is known, are solved until the
objective is within a share of that minimum: by implicit steps that may grow, and by explicit ones
of first order (the space discretisation of the implicit ones) and of second order (the default),
each at its own step bound. In the metric of the script, dw^2 + 100 dx^2, which evens out the
curvatures, and in the plain one, dw^2 + dx^2, in which they differ by a thousand. Prints a
Markdown table of the steps, the time and its ratio to that of the implicit run. A run that takes
longer than asked ends there; its ratio is then a lower bound.
"""

import argparse
import pathlib
import sys

import speed

import wgf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "eulerian"))
import test_spikes

SHARES = (1e-2, 1e-4, 1e-6)
METRICS = {"plain": 1.0, "of the script": 0.01}
METHODS = {
    "implicit": lambda: wgf.ImplicitFiniteVolume(0.1),
    "explicit, order 1": lambda: wgf.FiniteVolume(1),
    "explicit, order 2": lambda: wgf.FiniteVolume(2),
}
# the time is looked at so seldom that it costs nothing
STEPS = 50


def reach(method, flow, start, least, longest, now):
    """Return ``{share: (steps, seconds)}`` and the steps and seconds of the whole run."""
    stepper = method.prepare(flow, start)
    stepper.settle()
    begin, found, steps, spent = now(), {}, 0, 0.0
    while len(found) < len(SHARES) and spent < longest:
        gap = stepper.advance(1e3)["objective"] / least - 1
        steps += 1
        for share in SHARES:
            if gap <= share and share not in found:
                found[share] = steps, now() - begin
        if steps % STEPS == 0:
            spent = now() - begin
    return found, (steps, now() - begin)


def rows(shape, metric, longest, clock="wall"):
    """Yield ``(share, name, steps, seconds, ratio, whether it got there)``."""
    now = speed.CLOCKS[clock]
    flow, start, least = test_spikes.spikes(shape)
    flow = wgf.GradientFlow(flow.functional, mobility={"x": METRICS[metric]})
    runs = {}
    for name, method in METHODS.items():
        # compile, or read what was compiled
        method().prepare(flow, start).advance(1e-9)
        runs[name] = reach(method(), flow, start, least, longest, now)
    for share in SHARES:
        for name, (found, ending) in runs.items():
            steps, seconds = found.get(share, ending)
            implicit = runs["implicit"][0][share][1]
            yield share, name, steps, seconds, seconds / implicit, share in found


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--longest", type=float, default=200.0, help="seconds a run")
    parser.add_argument("--clock", choices=tuple(speed.CLOCKS), default="wall")
    chosen = parser.parse_args()
    shapes = ((41, 32),) if chosen.small else ((161, 128), (321, 256))
    print(speed.machine(chosen.clock) + "\n")
    print("| cells | metric | gap / min F | method | steps | seconds | / implicit |")
    print("|---|---|---|---|---|---|---|")
    for shape in shapes:
        for metric in METRICS:
            for share, name, steps, seconds, ratio, there in rows(
                shape, metric, chosen.longest, chosen.clock
            ):
                sign = "" if there else "> "
                print(
                    f"| {shape[0]} × {shape[1]} | {metric} | {share:.0e} | {name} | {sign}{steps} "
                    f"| {sign}{seconds:.3g} | {sign}{ratio:.3g} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
