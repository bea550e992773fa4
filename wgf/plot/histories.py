"""Panels over time: objective and its parts, energy budget, distances, quantiles; and the fit."""

import numpy as np

from wgf.measures.signed import copies_of
from wgf.plot import pixels
from wgf.plot.panels import FAINT, colour_map, colour_scale
from wgf.plot.style import COLOURS, NEGATIVE, POSITIVE, SECOND, legend_above, time_axis
from wgf.plot.views import LEVELS, divided, profile

SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)


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
        for columns, (label, _), colour, style in zip(held, view.runs, view.colours, ("-", "--"))
    ]
    return _curves(ax, view.run.times, curves, "objective F", far)


def parts(ax, view):
    """Draw the objective and the terms it is the sum of; with momentum the energy E, too."""
    columns = view.run.diagnostics
    t = columns["t"]
    curves = [(t, columns["objective"], "-", "black", "objective F")]
    if "lyapunov" in columns:
        curves.insert(0, (t, columns["lyapunov"], "-", "0.6", "energy E"))
    # particles report no value of an entropy
    terms = [name for name in view.run.problem.get("terms", ()) if name in columns]
    terms = [name for name in terms if np.ptp(columns[name]) > 0]
    terms += ["kinetic"] * ("kinetic" in columns)
    curves += [(t, columns[name], "--", shade, name) for name, shade in zip(terms, COLOURS)]
    return _curves(ax, view.run.times, curves, "objective and parts")


def observables(ax, view):
    """Draw the observables of all runs over their times, every component of an array."""
    curves = []
    for (label, run), style in zip(view.runs, ("-", "--")):
        shades = iter(COLOURS)
        for name in run.problem.get("observables", ()):
            column = np.asarray(run.diagnostics[name])
            parts = column.reshape(len(column), -1).T
            for k, (values, shade) in enumerate(zip(parts, shades)):
                known = ~np.isnan(values)
                text = f"{name}[{k}]" if column.ndim > 1 else name
                text = text if len(view.runs) == 1 else f"{text}, {label}"
                curves.append((run.diagnostics["t"][known], values[known], style, shade, text))
    return _curves(ax, view.run.times, curves, "observables")


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


def has_outputs(view):
    """Return whether all runs have model outputs."""
    return all(run.outputs is not None for _, run in view.runs)


def fit(ax, view):
    """Draw data and final model outputs: over their abscissa, as stems where they are Fourier
    coefficients, else against the data.
    """
    first, outputs = view.run, [run.outputs[-1] for _, run in view.runs]
    n = len(outputs[0])
    x, target = first.abscissa, first.target
    target = target if target is not None and len(target) == n else None
    fourier = "Filter.dirichlet" in str(first.problem)
    runs = list(zip(view.runs, outputs, view.colours, ("-", "--")))
    if x is None and not fourier and target is not None:
        if np.all(np.abs(target) == 1):
            return classes(ax, [(label, output) for (label, _), output, _, _ in runs], target)
        ends = [min(target.min(), *map(np.min, outputs)), max(target.max(), *map(np.max, outputs))]
        ax.plot(ends, ends, color="0.6", lw=0.8, label="exact")
        for (label, _), output, colour, _ in runs:
            ax.plot(target, output, ".", ms=3, color=colour, label=label)
        ax.set(xlabel="data", ylabel="model output at the end")
        legend_above(ax)
        return ax
    order = np.arange(n) if x is None else np.argsort(x, kind="stable")
    x = np.arange(n) if x is None else x[order]
    stems = fourier and n <= 80
    if target is not None:
        style = {"color": "0.7", "label": "data"}
        if stems:
            ax.vlines(x, 0, target, lw=5, **style)
        else:
            ax.plot(x, target[order], "o" if n <= 60 else "-", ms=3, lw=0.8, **style)
    for i, ((label, _), output, colour, style) in enumerate(runs):
        if stems:
            ax.vlines(
                x + 0.3 * (i - (len(runs) - 1) / 2), 0, output, lw=1.5, color=colour, label=label
            )
        else:
            ax.plot(x, output[order], style, lw=1.2, color=colour, label=label)
    if fourier:
        ax.axhline(0, color="0.6", lw=0.6)
    where = "Fourier coefficient" if fourier else "sample"
    ax.set_xlabel(where if first.abscissa is None else "abscissa of the data")
    ax.set_ylabel("model output at the end")
    legend_above(ax)
    return ax


def classes(ax, outputs, labels):
    """Draw the distribution of labelled final outputs for the samples of either label."""
    every = np.concatenate([output for _, output in outputs])
    edges = np.linspace(every.min(), every.max() + 1e-12, 41)
    for (name, output), style in zip(outputs, ("-", "--")):
        for label, colour in ((1, COLOURS[0]), (-1, COLOURS[1])):
            counts, _ = np.histogram(output[labels == label], edges)
            text = f"label {label:+d}" if len(outputs) == 1 else f"label {label:+d}, {name}"
            ax.stairs(counts, edges, color=colour, ls=style, label=text)
    ax.axvline(0, color="0.6", lw=0.8)
    ax.set(xlabel="model output at the end", ylabel="samples")
    legend_above(ax)
    return ax


def fans(ax, view):
    """Draw how the mass spreads along every axis: median, half and nine tenths of it."""
    axes = divided(ax, len(view.names), 1, sharex=True)[:, 0]
    times, found = view.spread
    colour = view.colours[0]
    for ax, name, rows in zip(axes, view.names, found.transpose(1, 2, 0)):
        low, lower, middle, upper, high = (rows[int(np.argmin(np.abs(LEVELS - q)))] for q in SHOWN)
        ax.fill_between(times, low, high, color=colour, alpha=0.2, lw=0, label="90 %")
        ax.fill_between(times, lower, upper, color=colour, alpha=0.4, lw=0, label="50 %")
        ax.plot(times, middle, color=colour, label="median")
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
        drawn = pixels.image(ax, values, (edges[0], between), **shades)
        label = f"signed mass per unit {view.names[0]},\n{pixels.RULE}"
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
