"""Momentum beside the gradient flow: who reaches a given excess loss, and after how many steps.

    python examples/momentum.py figures/momentum
    python examples/momentum.py figures/momentum --quick

The gradient flow and the noiseless heavy ball of several frictions start from the same particles,
at rest, and solve the same problems. Both are iterated with one gradient a step,

    theta+ = theta - eta ∇F',    theta+ = theta + (1 - gamma h) (theta - theta-) - h^2 ∇F',

with ``eta = h^2``: the same length of a gradient step, so that evaluations of the gradient
compare the costs. A step is the time eta of the flow and the time h of the heavy ball.

- *Spikes*: the deconvolution problems of `excess_loss.py`, five spikes on the torus, seeds at
  random; a run succeeds when its excess over the certified minimum is below 1e-4.
- *ReLU*: a teacher of five neurons in the plane at random angles and of random signs, population
  loss in closed form, 1 for an empty network; the start lies at random on a circle of radius 0.3
  with a = ±0.3. A run succeeds below 1e-3, within 4000 gradients: the gradient flow is often only
  slow.

Krichene, Caluya & Halder 2020 prove what such dynamics tend to for many particles; the numbers for
few particles are measured here and are not theirs. The folder given receives the figure,
results.h5, and results.jsonl, from which an interrupted run goes on.
"""

import functools
import warnings

import numpy as np
from excess_loss import collect, options, settle_spikes, spikes

import wgf
from wgf import plot
from wgf.record import tables

TEACHER = 5
# problem: title, step eta, gradient evaluations, level of success, numbers of particles
PROBLEMS = {
    "spikes": ("five spikes, order 7", 0.02, 4000, 1e-4, (5, 6, 7, 8, 9, 11, 14, 20)),
    "relu": ("ReLU, teacher of five", 0.05, 4000, 1e-3, (5, 6, 8, 10, 14, 20)),
}
LEVELS = (1e-1, 1e-2, 1e-3, 1e-4)
# 0 stands for the gradient flow
FRICTIONS = {"spikes": (0.0, 3.0, 1.0, 0.3), "relu": (0.0, 1.0, 0.3, 0.1)}


@functools.lru_cache(maxsize=2)
def spikes_problem(repeat):
    """Return functional, mobility and minimum; the minimum is certified to 1e-8."""
    functional = spikes(repeat)
    proof = wgf.certificate(settle_spikes(functional, 30), tolerance=1e-11)
    if proof.gap > 1e-8:
        raise RuntimeError(f"repeat {repeat}: the minimum is certified to {proof.gap:.1e} only")
    return functional, {"x": 0.01}, proof.value


def spikes_start(m, repeat):
    """Return evenly spaced positions without amplitude."""
    x = (np.arange(m) + 0.5) / m
    return wgf.Particles(np.stack([0 * x, x], axis=1))


def circle(generator, count):
    """Return random unit vectors of the plane."""
    angles = generator.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def relu_problem(repeat):
    """Return functional, mobility and minimum of a random teacher."""
    generator = np.random.default_rng([4, repeat])
    signs = generator.choice([-1.0, 1.0], TEACHER)
    return wgf.PopulationRisk.normalised(signs, circle(generator, TEACHER)), None, 0.0


def relu_start(m, repeat):
    """Return neurons on a small circle, half of them with negative output weight."""
    w = circle(np.random.default_rng([5, repeat]), m)
    return wgf.Particles(0.3 * np.column_stack([np.where(np.arange(m) % 2, 1.0, -1.0), w]))


def job(problem, m, repeat):
    """Return, for the gradient flow and every friction, the steps to each level of excess."""
    _, eta, budget, level, _ = PROBLEMS[problem]
    functional, mobility, least = globals()[f"{problem}_problem"](repeat)
    start, steps, best = globals()[f"{problem}_start"](m, repeat), [], []
    for friction in FRICTIONS[problem]:
        flow, method, step = wgf.GradientFlow(functional, mobility=mobility), None, eta
        method = wgf.ForwardBackward(step=eta)
        if friction:
            step = np.sqrt(eta)
            flow = wgf.HeavyBall(functional, friction, mobility=mobility)
            method = wgf.HeavyBallParticles(step)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # few particles do not separate two halves of the parameters, and that is the subject
            warnings.simplefilter("ignore", wgf.StartWarning)
            try:
                run = wgf.solve(
                    flow, start, budget * step, method=method,
                    stop=lambda row: row["objective"] - least <= level,
                )  # fmt: skip
            except wgf.NumericalError:
                # too long a step for this problem: no success
                steps.append([None] * len(LEVELS))
                best.append(None)
                continue
        excess = run.diagnostics["objective"] - least
        hits = [np.flatnonzero(excess <= each) for each in LEVELS]
        steps.append([int(hit[0]) if len(hit) else None for hit in hits])
        best.append(float(excess.min()))
    return {"problem": problem, "m": m, "repeat": repeat, "steps": steps, "best": best}


def plan(quick, repeats):
    """Return all jobs as (problem, m, repeat)."""
    repeats = repeats or (3 if quick else 50)
    grids = {name: (6, 20) if quick else each[-1] for name, each in PROBLEMS.items()}
    return [(name, m, r) for r in range(repeats) for name, grid in grids.items() for m in grid]


def columns(rows, problem):
    """Return the rows of a problem as arrays; what was never reached is infinite."""
    rows = [row for row in rows if row["problem"] == problem]
    found = {name: np.array([row[name] for row in rows]) for name in ("m", "repeat")}
    for name in ("best", "steps"):
        values = np.array([row[name] for row in rows], dtype=float)
        found[name] = np.where(np.isnan(values), np.inf, values)
    return found


def reached(table, problem, m, which):
    """Return steps to success of the runs of one width and method."""
    level = LEVELS.index(PROBLEMS[problem][3])
    return table["steps"][table["m"] == m, which, level]


def wilson(share, count):
    """Return the 95 % interval of a share of `count` runs (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / count) ** 2 / 4)
    return middle - half, middle + half


def name_of(friction):
    return f"momentum, γ = {friction:g}" if friction else "gradient flow"


def summary(problem, table):
    """Return lines for people: success and median steps by width and method."""
    title, eta, budget, level, _ = PROBLEMS[problem]
    lines = [
        f"{title}: runs that reach an excess of {level:g} within {budget} gradient evaluations, "
        "and the median evaluations (time) of all runs"
    ]
    for m in np.unique(table["m"]):
        cells = []
        for which, friction in enumerate(FRICTIONS[problem]):
            steps = reached(table, problem, m, which)
            middle, step = np.median(steps), np.sqrt(eta) if friction else eta
            told = f"{middle:5.0f} ({middle * step:5.1f})" if np.isfinite(middle) else " " * 13
            cells.append(f"{name_of(friction)} {np.mean(np.isfinite(steps)):4.0%} {told}")
        lines.append(f"  m = {m:2d}: " + "   ".join(cells))
    return "\n".join(lines)


def draw(found, path):
    """Draw shares of success above, median steps below, a column a problem."""
    with plot.drawing((8.4, 5.6), path, dpi=150) as figure:
        grid = figure.subplots(2, len(found), sharex="col", squeeze=False)
        for (above, below), (problem, table) in zip(grid.T, found.items()):
            panels(above, below, problem, table)
        grid[0, 0].set_ylabel("runs that reach it (%)")
        grid[1, 0].set_ylabel("gradient evaluations, median of all runs")
        note = "bars: 95 % intervals; medians where more than half of the runs get there"
        figure.supxlabel(note, fontsize=8)


def panels(above, below, problem, table):
    """Draw the two panels of one problem."""
    title, _, _, level, _ = PROBLEMS[problem]
    counts = np.unique(table["m"])
    for which, (friction, marker) in enumerate(zip(FRICTIONS[problem], "osD^")):
        steps = [reached(table, problem, m, which) for m in counts]
        share = np.array([np.mean(np.isfinite(each)) for each in steps])
        # side by side: equal shares would hide each other
        places = counts * 1.015 ** (which - 1.5)
        style = {"color": plot.COLOURS[which], "marker": marker, "ms": 4}
        bars = np.abs(np.subtract(wilson(share, len(steps[0])), share))
        name = name_of(friction)
        above.errorbar(places, 100 * share, 100 * bars, elinewidth=0.8, label=name, **style)
        middle = np.array([np.median(each) for each in steps])
        below.plot(places, np.where(np.isfinite(middle), middle, np.nan), **style)
    power = f"$10^{{{np.log10(level):.0f}}}$"
    above.set(title=f"{title}: excess at most {power}", ylim=(-3, 103))
    above.legend(fontsize=8, loc="lower right")
    below.set(xscale="log", yscale="log", xlabel="number of particles m")
    below.set_xticks(counts, [str(m) for m in counts])
    below.minorticks_off()
    low, high = below.get_ylim()
    ticks = [t * 10**k for k in range(1, 4) for t in (1, 2, 5) if low < t * 10**k < high]
    below.set_yticks(ticks, [str(t) for t in ticks])


def main():
    chosen = options(__doc__, "two widths, three seeds", "seeds of every width (default 50)")
    jobs = plan(chosen.quick, chosen.repeats)
    keys = ("problem", "m", "repeat")
    rows = collect(chosen.folder / "results.jsonl", jobs, keys, job, chosen.processes)
    found = {problem: columns(rows, problem) for problem in PROBLEMS}
    tables.write(chosen.folder / "results.h5", {(name,): t for name, t in found.items()})
    for problem, table in found.items():
        print(summary(problem, table))
    draw(found, chosen.folder / "momentum.png")
    print(chosen.folder / "momentum.png")


if __name__ == "__main__":
    main()
