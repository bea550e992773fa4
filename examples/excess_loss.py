"""Excess loss against the number of particles: gradient flow beside convex minimisation.

    python examples/excess_loss.py figures/excess
    python examples/excess_loss.py figures/excess --quick

The three panels of the headline figure of Chizat & Bach 2018. A flow moves magnitudes and
positions of m particles; the convex baseline keeps the same positions as at the start and finds the
best magnitudes exactly. Dots are repeats, lines their geometric means.

- *Deconvolution* on the torus, order 7, five spikes at least 0.1 apart, amplitudes of random signs
  that add up to 1 in size, penalty 0.06. Excess over the global minimum, which a certificate of the
  best run gives to 1e-9; a run counts as a success when its excess is below 1e-4.
- *ReLU*, 100 inputs, a teacher of 20 neurons, half of them with output weight -1: population loss
  in closed form, 1 for an empty network.
- *Sigmoid*, 100 inputs, a teacher of 20 neurons with normal inner weights: stochastic gradient
  descent on fresh data, the inner weights with mobility 30; the loss is that over 20 000 samples
  never trained on, 1 for an empty network.

The folder given receives the figure, results.h5, and results.jsonl, from which an interrupted run
goes on.
"""

import argparse
import concurrent.futures
import functools
import json
import multiprocessing
import pathlib
import time

import numpy as np
from tqdm import tqdm

import wgf
from wgf import plot
from wgf.functional.population import arc_cosine
from wgf.record import tables
from wgf.stepping.stop import Condition
from wgf.theory import baseline

PANELS = ("deconvolution", "relu", "sigmoid")
TITLES = ("sparse deconvolution, 5 spikes", "ReLU, teacher of 20", "sigmoid, teacher of 20")
SPIKES = (1, 3, 5, 6, 7, 9, 11, 14, 20, 30, 45, 82)
NEURONS = tuple(int(m) for m in np.unique(np.round(np.logspace(np.log10(3), np.log10(200), 15))))
PENALTY, INPUTS, TEACHER = 0.06, 100, 20
FLOOR = 1e-10


def spikes(repeat):
    """Return the functional of one random deconvolution problem."""
    generator = np.random.default_rng([1, repeat])
    while True:
        x = np.sort(generator.random(5))
        if np.diff(x, append=x[0] + 1).min() >= 0.1:
            break
    sizes = generator.uniform(0.5, 1.5, 5)
    amplitudes = generator.choice([-1.0, 1.0], 5) * sizes / sizes.sum()
    filters = wgf.Filter.dirichlet(7)
    y = amplitudes @ filters.unit(x[:, None])
    return wgf.Risk(filters, wgf.Squared(y, weights=1 / PENALTY)) + wgf.L1(1.0, axes="w")


class Settled(Condition):
    """A state at rest, or one with a certified gap of 3e-9."""

    looks = True

    def __init__(self, still):
        self.still, self.certified = still, wgf.certified(3e-9, every=50)

    def holds(self, state):
        return state.row["dissipation"] < self.still or self.certified.holds(state)


def settle_spikes(functional, m):
    """Return the flow's run from evenly spaced positions and no amplitude."""
    x = (np.arange(m) + 0.5) / m
    start = wgf.Particles(np.stack([0 * x, x], axis=1))
    stop = Settled(1e-19 * functional.value(start))
    flow = wgf.GradientFlow(functional, mobility={"x": 0.01})
    method = wgf.ForwardBackward(tolerance=1e-4)
    return wgf.solve(flow, start, 3e3, method=method, stop=stop)


def deconvolution(m, repeat):
    functional = spikes(repeat)
    run = settle_spikes(functional, m)
    proof = wgf.certificate(run, tolerance=1e-11)
    convex = baseline.minimise(functional, (np.arange(m) + 0.5) / m)
    return {"flow": proof.value, "convex": convex.value, "gap": proof.gap, "lower": proof.lower}


def relu(m, repeat):
    generator = np.random.default_rng([2, repeat])
    risk = wgf.PopulationRisk.normalised(
        generator.permutation(np.repeat([-1.0, 1.0], TEACHER // 2)), directions(generator, TEACHER)
    )
    # a neuron keeps the sign of its output weight: both halves need enough of them
    w, a = directions(generator, m), np.where(np.arange(m) % 2, 1.0, -1.0)

    def stop(row):
        # done, or at rest: a factor e in time no longer changes the loss
        rest = row["t"] * row["dissipation"] < 2e-3 * row["objective"]
        return row["objective"] < 5e-5 or (rest and row["t"] > 5)

    start = wgf.Particles(0.5 * np.column_stack([a, w]))
    method = wgf.RungeKutta(tolerance=1e-3)
    run = wgf.solve(wgf.GradientFlow(risk), start, 4e3, method=method, stop=stop)
    own, cross = arc_cosine(w, w)[0], arc_cosine(w, risk.directions)[0] @ risk.amplitudes
    best = np.linalg.lstsq(own, cross, rcond=None)[0]
    convex = 1 - risk.strength * 0.5 * float(best @ cross)
    return {"flow": float(run.diagnostics["objective"].min()), "convex": convex}


def directions(generator, count):
    """Return random unit vectors."""
    v = generator.normal(size=(count, INPUTS))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def sigmoid(m, repeat, until=600.0):
    generator = np.random.default_rng([3, repeat])
    inner = generator.normal(size=(TEACHER, INPUTS))
    outer = generator.permutation(np.repeat([-1.0, 1.0], TEACHER // 2)) / TEACHER

    def data(generator, batch):
        x = generator.normal(size=(batch, INPUTS))
        return x, 0.5 * (1 + np.tanh(0.5 * x @ inner.T)) @ outer

    x, y = data(generator, 20000)
    seen = wgf.Neurons(x[:2000], "sigmoid")
    # the factor 100 only sets the unit of time
    risk = wgf.Risk(seen, wgf.Squared(y[:2000], weights=100 / 2000))
    size = risk.loss.value(np.zeros(2000))
    w = generator.normal(size=(m, INPUTS))
    start = wgf.Particles(np.column_stack([np.zeros(m), w]))
    flow = wgf.GradientFlow(risk, mobility={f"w{i + 1}": 30.0 for i in range(INPUTS)})
    # smaller batches are no cheaper: their noise holds many particles up
    method = wgf.StochasticGradient(0.03, 400, data=data, seed=repeat, look=500)
    final = wgf.solve(
        flow, start, until, method=method, stop=lambda row: row["objective"] < 1e-5 * size
    ).final
    fresh = wgf.Neurons(x, "sigmoid")
    test = wgf.Risk(fresh, wgf.Squared(y, weights=2 / np.sum(y**2)))
    features = fresh.unit(w).T
    best = np.linalg.lstsq(features, y, rcond=None)[0]
    convex = float(np.sum((features @ best - y) ** 2) / np.sum(y**2))
    return {"flow": test.value(final), "convex": convex}


def job(panel, m, repeat, quick=False):
    """Return one repeat as a dictionary."""
    arguments = {"until": 60.0} if quick and panel == "sigmoid" else {}
    begin = time.process_time()
    found = globals()[panel](m, repeat, **arguments)
    seconds = time.process_time() - begin
    return {"panel": panel, "m": m, "repeat": repeat, **found, "seconds": seconds}


def plan(quick, repeats):
    """Return all jobs as (panel, m, repeat)."""
    spikes_grid, grid = ((5, 9, 14), (3, 33)) if quick else (SPIKES, NEURONS)
    many, few = (3, 1) if quick else (100, 5)
    many, few = repeats or many, repeats or few
    jobs = [("deconvolution", m, r) for r in range(many) for m in spikes_grid]
    return jobs + [(p, m, r) for p in PANELS[1:] for r in range(few) for m in reversed(grid)]


def one_thread():
    """Each process keeps to one core."""
    import numba
    from threadpoolctl import threadpool_limits

    numba.set_num_threads(1)
    threadpool_limits(1)


def collect(path, jobs, keys, work, processes):
    """Return all results; those in the file at `path` are not computed again.

    A job is the arguments of `work`, which returns a dictionary with them under the names `keys`.
    """
    done = {}
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            # a line cut short by an interrupt is computed again
            if line.endswith("\n"):
                row = json.loads(line)
                done[tuple(row[key] for key in keys)] = row
        path.write_text("".join(json.dumps(row) + "\n" for row in done.values()))
    left = [each for each in jobs if each not in done]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, context, one_thread) as pool:
        futures = [pool.submit(work, *each) for each in left]
        bar = tqdm(concurrent.futures.as_completed(futures), total=len(left), unit="run")
        try:
            with path.open("a") as file:
                for future in bar:
                    row = future.result()
                    done[tuple(row[key] for key in keys)] = row
                    file.write(json.dumps(row) + "\n")
                    file.flush()
        except BaseException:
            # an error or an interrupt does not wait for what has not begun
            pool.shutdown(cancel_futures=True)
            raise
    return [done[each] for each in jobs]


def columns(rows, panel):
    """Return the rows of a panel as arrays; deconvolution as excess over the best lower bound."""
    rows = [row for row in rows if row["panel"] == panel]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0] if name != "panel"}
    if panel == "deconvolution":
        least = np.empty(len(rows))
        for repeat in np.unique(table["repeat"]):
            same = table["repeat"] == repeat
            # the global minimum lies between the best lower bound and the best value
            least[same] = min(table["lower"][same].max(), table["flow"][same].min())
        table["flow"], table["convex"] = table["flow"] - least, table["convex"] - least
    return table


def summary(panel, table):
    """Return lines for people: medians, and for deconvolution rates of success."""
    lines = [f"{panel}: m, median excess of the flow and of the convex baseline, success"]
    for m in np.unique(table["m"]):
        same = table["m"] == m
        flow, convex = table["flow"][same], table["convex"][same]
        share = np.mean(flow < 1e-4)
        line = f"  {m:4d}  {np.median(flow):9.2e}  {np.median(convex):9.2e}  {share:5.0%}"
        if "gap" in table:
            line += f"  median certified gap {np.median(table['gap'][same]):.1e}"
        lines.append(line)
    return "\n".join(lines)


def draw(found, path):
    """Draw the three panels."""
    with plot.drawing((11, 3.6), path, dpi=150) as figure:
        panels = figure.subplots(1, 3)
        for ax, panel, title in zip(panels, PANELS, TITLES):
            table = found[panel]
            counts = np.unique(table["m"])
            for name, colour, label in (
                ("flow", plot.COLOURS[0], "gradient flow"),
                ("convex", plot.COLOURS[1], "convex baseline"),
            ):
                values = np.maximum(table[name], FLOOR)
                ax.plot(table["m"], values, ".", ms=3, alpha=0.35, color=colour)
                means = [np.exp(np.mean(np.log(values[table["m"] == m]))) for m in counts]
                ax.plot(counts, means, "-", color=colour, label=label)
            truth = 5 if panel == "deconvolution" else TEACHER
            ax.axvline(truth, color="0.6", lw=1, ls=":", label="true size")
            ax.set(xscale="log", yscale="log", xlabel="number of particles m", title=title)
        panels[0].set_ylabel("excess loss at the end")
        panels[1].legend(loc="center right")


def options(description, quick, repeats):
    """Read the command line that measurements of many runs share, and make their folder."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where the results go")
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--repeats", type=int, help=repeats)
    parser.add_argument("--processes", type=int, default=2, help="runs at a time")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    return chosen


def main():
    repeats = "repeats of every m (default 100, 5 and 5)"
    chosen = options(__doc__, "a few runs of each panel", repeats)
    jobs = plan(chosen.quick, chosen.repeats)
    work = functools.partial(job, quick=chosen.quick)
    keys = ("panel", "m", "repeat")
    rows = collect(chosen.folder / "results.jsonl", jobs, keys, work, chosen.processes)
    found = {panel: columns(rows, panel) for panel in PANELS}
    tables.write(chosen.folder / "results.h5", {(panel,): t for panel, t in found.items()})
    draw(found, chosen.folder / "excess_loss.png")
    for panel, table in found.items():
        print(summary(panel, table))
        print(f"  {np.sum(table['seconds']) / 60:.1f} minutes of one core")
    print(chosen.folder / "excess_loss.png")


if __name__ == "__main__":
    main()
