"""Panels of signed measures, held as two non-negative copies: their difference is drawn."""

import numpy as np

from wgf.measures.density import Density
from wgf.measures.signed import copies_of, is_signed, is_unbalanced
from wgf.plot import panels
from wgf.plot.style import COLOURS, planes, time_axis

POSITIVE, NEGATIVE, SECOND = COLOURS[0], COLOURS[1], "0.1"
BINS = 64
# particles below this share of the heaviest one are not drawn
FAINT = 1e-5


def on_copies(runs):
    """Return whether all runs are of signed measures on two copies, one at least unbalanced."""
    runs = list(runs)
    return any(map(is_unbalanced, runs)) and all(is_signed(run.snapshots[0]) for run in runs)


def measures(figure, axes, pairs, shown, plane, names):
    """Draw the signed measure along one or two of its positions at every shown time."""
    states = [[(label, s.at(t)) for label, s in pairs] for t in shown]
    if len(plane) == 1:
        for ax, state in zip(axes, states):
            line_panel(ax, state, 1 + plane[0], names[plane[0]])
        axes[0].set_ylabel(f"signed mass per unit {names[plane[0]]}")
        axes[0].legend(fontsize=7)
        return
    norm = colour_norm([signed_marginal(m, plane)[0] for m in _densities(states)], linear=True)
    image = None
    for ax, state in zip(axes, states):
        image = plane_panel(ax, state, plane, norm) or image
        ax.set_xlabel(names[plane[1]])
    axes[0].set_ylabel(names[plane[0]])
    if image is not None:
        unit = f"signed mass per unit {names[plane[0]]} × {names[plane[1]]}"
        figure.colorbar(image, ax=list(axes), label=unit, pad=0.01)


def colour_map():
    """Return the map of signed densities: white at 0, the colours of the copies on its sides."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = ("#6B2A00", NEGATIVE, "#F7D3B8", "white", "#BCDDF0", POSITIVE, "#00304D")
    return LinearSegmentedColormap.from_list("signed", shades)


def _densities(states):
    return [m for state in states for _, m in state if isinstance(m, Density)]


def signed_marginal(measure, plane):
    """Return the signed density along the positions in `plane`, and their axes."""
    names = [measure.names[1 + k] for k in plane]
    marginal = measure.marginal(measure.names[0], *names)
    values = (marginal.values[1] - marginal.values[0]) * marginal.mesh.axes[0].spacing
    return values, marginal.mesh.axes[1:]


def line_panel(ax, state, k, name):
    """Draw signed measures along axis `k`: the first filled, the second as a line.

    One run of densities is drawn by its cells; beside another one, both in the same bins.
    """
    (whose, first), *others = state
    if isinstance(first, Density) and not others:
        values, (axis,) = signed_marginal(first, (k - 1,))
        edges = axis.edges
    else:
        edges = _bins([measure for _, measure in state], k)
        values = _binned(first, k, edges)
    ax.axhline(0, color="0.6", lw=0.6)
    for sign, colour, label in ((1, POSITIVE, "positive"), (-1, NEGATIVE, "negative")):
        part = sign * np.maximum(sign * values, 0)
        label = f"{whose}, {label}" if others else label
        ax.stairs(part, edges, fill=True, color=colour, alpha=0.75, label=label, lw=0)
    for (label, measure), style in zip(others, ("--", ":")):
        ax.stairs(
            _binned(measure, k, edges), edges, color=SECOND, lw=0.9, linestyle=style, label=label
        )
    ax.set_xlabel(name)


def _bins(measures, k):
    """Return the edges of the bins in which measures are set beside each other."""
    domain = next((m.domain for m in measures if m.domain is not None), None)
    axis = domain.axes[k]
    cells = [m.mesh.axes[k].cells for m in measures if isinstance(m, Density)]
    # a divisor of the cells, so that every bin holds as many of them
    fitting = [n for n in range(1, BINS + 1) if all(c % n == 0 for c in cells)]
    count = fitting[-1] if fitting[-1] >= 16 else BINS
    return np.linspace(axis.lower, axis.upper, count + 1)


def _binned(measure, k, edges):
    masses = np.sign(measure.points[:, 0]) * measure.weights
    total, _ = np.histogram(measure.points[:, k], edges, weights=masses)
    return total / np.diff(edges)


def plane_panel(ax, state, plane, norm):
    """Draw signed measures along two positions; return the image if there is one."""
    image = None
    for _, measure in state:
        if isinstance(measure, Density):
            values, axes = signed_marginal(measure, plane)
            image = panels.image(ax, values, *axes, norm, colour_map())
        else:
            share = measure.weights / max(measure.weights.max(), 1e-300)
            kept = share > FAINT
            colours = np.where(measure.points[kept, 0] > 0, POSITIVE, NEGATIVE)
            x, y = measure.points[kept, 1 + plane[1]], measure.points[kept, 1 + plane[0]]
            ax.scatter(x, y, s=30 * share[kept], c=colours, lw=0.3, edgecolors=SECOND, zorder=3)
    return image


def colour_norm(arrays, linear=False):
    """Return a scale of colours symmetric about 0."""
    from matplotlib.colors import Normalize, SymLogNorm

    top = max((np.abs(values).max() for values in arrays), default=1.0)
    top = top if top > 0 else 1.0
    return Normalize(-top, top) if linear else SymLogNorm(1e-2 * top, vmin=-top, vmax=top)


def shared_norm(measures, plane):
    """Return one scale of colours, or heights, for all measures."""
    if isinstance(measures[0], Density):
        found = [signed_marginal(measure, plane)[0] for measure in measures]
    else:
        edges = _bins(measures[:1], 1 + plane[0])
        found = [_binned(measure, 1 + plane[0], edges) for measure in measures]
    return colour_norm(found, linear=True)


def frame(figure, state, plane, names, norm, title):
    """Draw one signed measure on a scale given."""
    ax = figure.subplots()
    if len(plane) == 1:
        line_panel(ax, state, 1 + plane[0], names[0])
        ax.set(ylim=(1.05 * norm.vmin, 1.05 * norm.vmax), title=title)
        ax.set_ylabel(f"signed mass per unit {names[0]}")
        return
    image = plane_panel(ax, state, plane, norm)
    low, high = (state[0][1].domain.lower[1:], state[0][1].domain.upper[1:])
    ax.set(xlabel=names[plane[1]], ylabel=names[plane[0]], title=title)
    ax.set(xlim=(low[plane[1]], high[plane[1]]), ylim=(low[plane[0]], high[plane[0]]))
    if image is not None:
        figure.colorbar(image, ax=ax, label="signed mass")


def ending(figure, solution, names):
    """Draw the whole story on one position (else the end), and the masses of both copies."""
    left, right = figure.subfigures(1, 2, width_ratios=[1.8, 1])
    if len(names) == 1:
        history(left.subplots(), solution, names[0])
    else:
        axes = np.atleast_1d(left.subplots(1, len(planes(names))))
        for ax, plane in zip(axes, planes(names)):
            state = [("", solution.final)]
            norm = colour_norm([signed_marginal(m, plane)[0] for m in _densities([state])])
            image = plane_panel(ax, state, plane, norm)
            ax.set(xlabel=names[plane[1]], ylabel=names[plane[0]], title="the end")
            if image is not None:
                left.colorbar(image, ax=ax, label="signed mass")
    masses(right.subplots(), solution)


def history(ax, solution, name):
    """Draw a signed measure on one axis over time: colours of a density, paths of particles."""
    index = np.unique(np.linspace(0, len(solution.times) - 1, 200).astype(int))
    measures = [solution.snapshots[int(k)] for k in index]
    t = np.asarray(solution.times)[index]
    if isinstance(measures[0], Density):
        found = [signed_marginal(measure, (0,)) for measure in measures]
        values = np.stack([each[0] for each in found], axis=1)
        (axis,) = found[0][1]
        edges = np.concatenate([t[:1], 0.5 * (t[1:] + t[:-1]), t[-1:]])
        image = ax.pcolormesh(
            edges,
            axis.edges,
            values,
            cmap=colour_map(),
            norm=colour_norm([values]),
            rasterized=True,
        )
        ax.figure.colorbar(image, ax=ax, label=f"signed mass per unit {name}", pad=0.01)
    else:
        _paths(ax, measures, t)
    ax.set_ylabel(name)
    ax.set_title("the signed measure over time")
    time_axis(ax, solution)


def _paths(ax, measures, t):
    weights = np.stack([measure.weights for measure in measures])
    largest = max(weights.max(), 1e-300)
    x = np.stack([measure.points[:, 1].copy() for measure in measures])
    sign = measures[0].points[:, 0]
    period = measures[0].domain.axes[1] if measures[0].domain is not None else None
    if period is not None and period.periodic:
        # a path over the seam is broken there
        jump = np.abs(np.diff(x, axis=0)) > 0.5 * period.length
        x[1:][jump] = np.nan
    x[weights < FAINT * largest] = np.nan
    for i in np.argsort(weights[-1])[-400:]:
        share = weights[:, i].max() / largest
        colour = POSITIVE if sign[i] > 0 else NEGATIVE
        ax.plot(t, x[:, i], color=colour, lw=0.4 + 1.6 * share, alpha=0.25 + 0.75 * share)


def masses(ax, solution):
    """Draw the masses of both copies and of their sum over time."""
    index = np.unique(np.linspace(0, len(solution.times) - 1, 200).astype(int))
    t = np.asarray(solution.times)[index]
    found = np.array([copies_of(solution.snapshots[int(k)]) for k in index])
    ax.plot(t, found[:, 1], color=POSITIVE, label="positive")
    ax.plot(t, found[:, 0], color=NEGATIVE, label="negative")
    ax.plot(t, found.sum(axis=1), "--", color=SECOND, lw=0.9, label="total variation")
    ax.set_ylim(bottom=0)
    ax.set_ylabel("mass")
    ax.set_title("the two copies")
    ax.legend()
    time_axis(ax, solution)
