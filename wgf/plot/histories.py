"""Panels over time: objective and its parts, energy budget, distances, quantiles; and the fit."""

import numpy as np

from wgf.measures.signed import copies_of
from wgf.plot.panels import FAINT, colour_map, colour_scale, kind_colour
from wgf.plot.style import COLOURS, NEGATIVE, POSITIVE, SECOND, legend_above, time_axis
from wgf.plot.views import divided, profile

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def _curves(ax, times, curves, name, log=False):
    """Draw ``(times, values, style, colour, label)`` over time, with the legend above."""
    for t, values, style, colour, label in curves:
        ax.plot(t, values, style, color=colour, label=label)
    time_axis(ax, times)
    if log:
        ax.set_yscale("log")
    ax.set_ylabel(name)
    legend_above(ax)
    return ax


def objectives(ax, view):
    """Draw the objectives of labelled runs, on a log scale if they fall far."""
    held = [run.diagnostics for _, run in view.runs]
    values = np.concatenate([columns["objective"] for columns in held])
    far = values.min() > 0 and values.max() > 20 * values.min()
    curves = [
        (columns["t"], columns["objective"], style, colour, label)
        for columns, (label, _), colour, style in zip(held, view.runs, COLOURS, ("-", "--"))
    ]
    return _curves(ax, view.run.times, curves, "objective F", far)


def parts(ax, view):
    """Draw the objective and the terms it is the sum of; with momentum the energy E, too."""
    columns = view.run.diagnostics
    t = columns["t"]
    curves = [(t, columns["objective"], "-", "black", "objective F")]
    if "lyapunov" in columns:
        curves.insert(0, (t, columns["lyapunov"], "-", "0.6", "energy E"))
    terms = [name for name in view.run.problem.get("terms", ()) if np.ptp(columns[name]) > 0]
    terms += ["kinetic"] * ("kinetic" in columns)
    curves += [(t, columns[name], "--", shade, name) for name, shade in zip(terms, COLOURS)]
    return _curves(ax, view.run.times, curves, "objective and parts")


def budget(ax, view):
    """Draw what the energy fell by beside the dissipation added up over the steps.

    The energy is the objective, with momentum the column ``lyapunov``.
    """
    columns = view.run.diagnostics
    name, letter = ("lyapunov", "E") if "lyapunov" in columns else ("objective", "F")
    t, lost = columns["t"], columns["dissipation"]
    curves = [
        (t, columns[name][0] - columns[name], "-", COLOURS[0], f"{letter}(0) − {letter}(t)"),
        (t, np.cumsum(lost * columns["dt"]), "--", COLOURS[1], "∫ dissipation dt"),
    ]
    _curves(ax, view.run.times, curves, "energy lost")
    rate = ax.twinx()
    # the rate may be noisy: behind the energies
    rate.set_zorder(ax.get_zorder() - 1)
    ax.patch.set_visible(False)
    rate.spines["right"].set_visible(True)
    rate.plot(t[lost > 0], lost[lost > 0], lw=0.8, color="0.6")
    if (lost > 0).any():
        rate.set_yscale("log")
    rate.set_ylabel(f"dissipation −d{letter}/dt", color="0.4")
    return ax


def distances(ax, view):
    """Draw the curves of a comparison's table: a distance over time."""
    table = view.table
    curves = []
    for (name, label), colour in zip(table.curves.items(), COLOURS):
        kept = table[name] > 0
        curves.append((table["t"][kept], table[name][kept], ".-", colour, label))
    far = any(len(curve[0]) for curve in curves)
    return _curves(ax, table["t"], curves, table.ylabel, far)


def fit(ax, view):
    """Draw the data and the final model outputs, over the sample if there is no abscissa."""
    first, pairs = view.run, view.runs
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


def fans(ax, view):
    """Draw how the mass spreads along every axis: median, half and nine tenths of it."""
    # of many axes the first four fit
    axes = divided(ax, min(len(view.names), 4), 1, sharex=True)[:, 0]
    times, measures = view.over_time()
    colour = kind_colour(measures[0])
    for k, (ax, name) in enumerate(zip(axes, view.names)):
        rows = np.array([measure.quantiles(k, LEVELS) for measure in measures])
        ax.fill_between(times, rows[:, 0], rows[:, 4], color=colour, alpha=0.2, lw=0, label="90 %")
        ax.fill_between(times, rows[:, 1], rows[:, 3], color=colour, alpha=0.4, lw=0, label="50 %")
        ax.plot(times, rows[:, 2], color=colour, label="median")
        time_axis(ax, view.run.times)
        ax.set_ylabel(name)
        ax.label_outer()
    # the title is above the legend
    axes[0].set_title("where the mass is", pad=18)
    legend_above(axes[0])
    return axes


def history(ax, view):
    """Draw a signed measure on one axis over time: colours of a density, paths of particles."""
    times, measures = view.over_time(200)
    if view.kind == "density":
        values, edges = zip(*(profile(measure, 0) for measure in measures))
        values = np.stack(values, axis=1)
        between = np.concatenate([times[:1], 0.5 * (times[1:] + times[:-1]), times[-1:]])
        shades = {"cmap": colour_map(True), "norm": colour_scale([values], signed=True)}
        drawn = ax.pcolormesh(between, edges[0], values, rasterized=True, **shades)
        label = f"signed mass per unit {view.names[0]}"
        ax.figure.colorbar(drawn, ax=ax, label=label, pad=0.01)
    else:
        _paths(ax, measures, times)
    ax.set(ylabel=view.names[0], title="the signed measure over time")
    time_axis(ax, view.run.times)
    return ax


def _paths(ax, measures, times):
    weights = np.stack([measure.weights for measure in measures])
    shares = np.abs(weights) / max(np.abs(weights).max(), 1e-300)
    x = np.stack([measure.points[:, 0].copy() for measure in measures])
    axis = measures[0].domain.axes[0]
    if axis.periodic:
        # a path over the seam is broken there
        x[1:][np.abs(np.diff(x, axis=0)) > 0.5 * axis.length] = np.nan
    x[shares < FAINT] = np.nan
    for i in np.argsort(shares[-1])[-400:]:
        colour, share = POSITIVE if weights[0, i] > 0 else NEGATIVE, shares[:, i].max()
        ax.plot(times, x[:, i], color=colour, lw=0.4 + 1.6 * share, alpha=0.25 + 0.75 * share)


def masses(ax, view):
    """Draw the masses of both copies and of their sum over time."""
    times, measures = view.over_time(200)
    below, above = np.array([copies_of(measure.copies) for measure in measures]).T
    curves = [(times, above, "-", POSITIVE, "positive"), (times, below, "-", NEGATIVE, "negative")]
    curves.append((times, above + below, "--", SECOND, "total variation"))
    _curves(ax, view.run.times, curves, "mass of the two copies").set_ylim(bottom=0)
    return ax
