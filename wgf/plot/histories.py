"""Panels over time: objective and its parts, energy budget, distances, quantiles; and the fit."""

import numpy as np

from wgf.measures.density import Density
from wgf.plot.style import COLOURS, legend_above, time_axis

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def objectives(ax, pairs):
    """Draw the objectives of labelled runs, on a log scale if they fall far."""
    for (label, solution), colour, style in zip(pairs, COLOURS, ("-", "--")):
        columns = solution.diagnostics
        ax.plot(columns["t"], columns["objective"], style, color=colour, label=label)
    time_axis(ax, pairs[0][1])
    values = np.concatenate([s.diagnostics["objective"] for _, s in pairs])
    if values.min() > 0 and values.max() > 20 * values.min():
        ax.set_yscale("log")
    ax.set_ylabel("objective F")
    legend_above(ax)


def parts(ax, solution):
    """Draw the objective and the terms it is the sum of; with momentum the energy E, too."""
    columns = solution.diagnostics
    if "lyapunov" in columns:
        ax.plot(columns["t"], columns["lyapunov"], color="0.6", lw=2, label="energy E")
    ax.plot(columns["t"], columns["objective"], color="black", label="objective F")
    terms = [name for name in solution.problem.get("terms", ()) if np.ptp(columns[name]) > 0]
    if "kinetic" in columns:
        terms.append("kinetic")
    for name, colour in zip(terms, COLOURS):
        ax.plot(columns["t"], columns[name], "--", color=colour, label=name)
    time_axis(ax, solution)
    ax.set_ylabel("objective and parts")
    legend_above(ax)


def budget(ax, solution):
    """Draw what the energy fell by beside the dissipation added up over the steps.

    The energy is the objective, with momentum the column ``lyapunov``.
    """
    columns = solution.diagnostics
    name, letter = ("lyapunov", "E") if "lyapunov" in columns else ("objective", "F")
    t, fall = columns["t"], columns[name][0] - columns[name]
    spent = np.cumsum(columns["dissipation"] * columns["dt"])
    ax.plot(t, fall, color=COLOURS[0], label=f"{letter}(0) − {letter}(t)")
    ax.plot(t, spent, "--", color=COLOURS[1], label="∫ dissipation dt")
    positive = columns["dissipation"] > 0
    time_axis(ax, solution)
    ax.set_ylabel("energy lost")
    rate = ax.twinx()
    # the rate may be noisy: behind the energies
    rate.set_zorder(ax.get_zorder() - 1)
    ax.patch.set_visible(False)
    legend_above(ax)
    rate.spines["right"].set_visible(True)
    rate.plot(t[positive], columns["dissipation"][positive], lw=0.8, color="0.6")
    if positive.any():
        rate.set_yscale("log")
    rate.set_ylabel(f"dissipation −d{letter}/dt", color="0.4")


def distances(ax, table):
    """Draw the distances of the marginals in a comparison's table."""
    from types import SimpleNamespace

    flat = any(name.startswith("flat_") for name in table)
    shown = [name for name in table if name.startswith("flat_" if flat else "w1_")]
    for name, colour in zip(shown, COLOURS):
        positive = table[name] > 0
        ax.plot(
            table["t"][positive],
            table[name][positive],
            "o-",
            ms=3,
            color=colour,
            label=f"along {name.split('_', 1)[1]}",
        )
    time_axis(ax, SimpleNamespace(times=table["t"]))
    if any((table[name] > 0).any() for name in shown):
        ax.set_yscale("log")
    ax.set_ylabel("flat norm of the difference" if flat else "W1 of the marginals (axis units)")
    legend_above(ax)


def fit(ax, pairs):
    """Draw the data and the final model outputs, over the sample if there is no abscissa."""
    first = pairs[0][1]
    if first.outputs is None:
        ax.axis("off")
        ax.text(0.5, 0.5, "no model output", ha="center", transform=ax.transAxes, color="0.4")
        return
    n = first.outputs.shape[1]
    target = first.target if first.target is not None and len(first.target) == n else None
    if target is not None and np.all(np.abs(target) == 1) and first.abscissa is None:
        classes(ax, pairs, target)
        return
    x = first.abscissa
    order = np.arange(n) if x is None else np.argsort(x, kind="stable")
    x = np.arange(n) if x is None else x[order]
    marker = "o" if n <= 60 else "-"
    if target is not None:
        ax.plot(x, target[order], marker, ms=3, lw=0.8, color="0.6", label="data")
    for (label, solution), colour, style in zip(pairs, COLOURS, ("-", "--")):
        ax.plot(x, solution.outputs[-1][order], style, lw=1.2, color=colour, label=label)
    ax.set_xlabel("sample" if first.abscissa is None else "abscissa of the data")
    ax.set_ylabel("model output at the end")
    legend_above(ax)


def classes(ax, pairs, labels):
    """Draw the distribution of the final model output for the samples of either label."""
    outputs = np.concatenate([solution.outputs[-1] for _, solution in pairs])
    edges = np.linspace(outputs.min(), outputs.max() + 1e-12, 41)
    for (name, solution), style in zip(pairs, ("-", "--")):
        for label, colour in ((1, COLOURS[0]), (-1, COLOURS[1])):
            counts, _ = np.histogram(solution.outputs[-1][labels == label], edges)
            text = f"label {label:+d}" if len(pairs) == 1 else f"label {label:+d}, {name}"
            ax.stairs(counts, edges, color=colour, ls=style, label=text)
    ax.axvline(0, color="0.6", lw=0.8)
    ax.set_xlabel("model output at the end")
    ax.set_ylabel("samples")
    legend_above(ax)


def quantiles(measure, i):
    """Return the quantiles of the mass along axis `i` at `LEVELS`."""
    if isinstance(measure, Density):
        marginal = measure.marginal(measure.names[i])
        steps = np.concatenate([[0.0], np.cumsum(marginal.weights)]) / marginal.mass
        return np.interp(LEVELS, steps, marginal.mesh.axes[0].edges)
    order = np.argsort(measure.points[:, i])
    steps = np.cumsum(measure.weights[order]) / measure.mass
    place = np.minimum(np.searchsorted(steps, LEVELS), len(order) - 1)
    return measure.points[order[place], i]


def fans(axes, solution, names):
    """Draw how the mass spreads along every axis: median, half and nine tenths of it."""
    # reading every snapshot of a long run would be slow: sixty tell the story
    index = np.unique(np.linspace(0, len(solution.times) - 1, 60).astype(int))
    measures = [solution.snapshots[int(k)] for k in index]
    t = np.asarray(solution.times)[index]
    colour = COLOURS[0 if isinstance(measures[0], Density) else 1]
    for i, (ax, name) in enumerate(zip(axes, names)):
        rows = np.array([quantiles(measure, i) for measure in measures])
        ax.fill_between(t, rows[:, 0], rows[:, 4], color=colour, alpha=0.2, lw=0, label="90 %")
        ax.fill_between(t, rows[:, 1], rows[:, 3], color=colour, alpha=0.4, lw=0, label="50 %")
        ax.plot(t, rows[:, 2], color=colour, label="median")
        time_axis(ax, solution)
        ax.set_ylabel(name)
        ax.label_outer()
    # the title is above the legend
    axes[0].set_title("where the mass is", pad=18)
    legend_above(axes[0])
