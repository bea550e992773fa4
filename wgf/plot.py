"""Figures of runs and comparisons; matplotlib is loaded when the first one is drawn."""

import itertools

import numpy as np

from wgf.measure import Density

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MAP = "Blues"
PANELS = 4
STYLE = {
    "figure.dpi": 110,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def run(solution, path=None):
    """Draw a sheet for one run: objective, dissipation, the measure at several times, the fit.

    Parameters
    ----------
    solution : Solution or stored run
    path : path, optional
        File to write; the figure is closed afterwards.

    Returns
    -------
    matplotlib.figure.Figure
    """
    label = "density" if isinstance(solution.snapshots[0], Density) else "particles"
    shown = _panel_times(solution.times)

    def lower(axes):
        _parts(axes[0], solution)
        _dissipation(axes[1], [(label, solution)])
        _fit(axes[2], [(label, solution)])

    return _sheet([(label, solution)], shown, lower, path)


def comparison(a, b, labels, table, path=None):
    """Draw two runs beside each other; see `wgf.compare`.

    Parameters
    ----------
    a, b : Solution or stored run
    labels : (str, str)
    table : dict of arrays
        As in `wgf.comparison.Comparison.table`.
    path : path, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    pairs = [(labels[0], a), (labels[1], b)]
    shown = _panel_times(table["t"])

    def lower(axes):
        _objectives(axes[0], pairs)
        _distances(axes[1], table)
        _fit(axes[2], pairs)

    return _sheet(pairs, shown, lower, path)


def _panel_times(times):
    """Return up to four of the times: the first, the last, and two in between on a log scale."""
    times = np.asarray(times)
    if len(times) <= PANELS:
        return times
    wanted = np.geomspace(max(times[1], times[-1] * 1e-3), times[-1], PANELS - 1)
    index = {0, *(int(np.argmin(np.abs(times - t))) for t in wanted)}
    return times[sorted(index)]


def _sheet(pairs, shown, lower, path):
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        names = _names(pairs[0][1])
        flat = len(names) == 1
        planes = [(0,)] if flat else list(itertools.combinations(range(len(names)), 2))[:3]
        figure = Figure(figsize=(11.5, 2.8 * len(planes) + 3.0))
        upper, bottom = figure.subfigures(2, 1, height_ratios=[2.8 * len(planes), 3.0])
        grid = upper.subplots(len(planes), len(shown), sharex="row", sharey="row", squeeze=False)
        for i, plane in enumerate(planes):
            _measures(upper, grid[i], pairs, shown, plane, names)
        for ax, t in zip(grid[0], shown):
            ax.set_title(f"t = {t:.4g}")
        lower(bottom.subplots(1, 3))
        if path is not None:
            figure.savefig(path)
    return figure


def _names(solution):
    measure = solution.snapshots[0]
    found = measure.names or solution.problem.get("axes")
    return tuple(found or (f"x{i + 1}" for i in range(measure.points.shape[1])))


def _measures(figure, axes, pairs, shown, plane, names):
    """Draw one projection at every shown time, all panels on one colour scale."""
    states = [[(label, s.at(t)) for label, s in pairs] for t in shown]
    if len(plane) == 1:
        for ax, state in zip(axes, states):
            _line_panel(ax, state, names[0])
        axes[0].set_ylabel(f"mass per unit {names[0]}")
        axes[0].legend()
        return
    densities = [m for state in states for _, m in state if isinstance(m, Density)]
    norm = _colours([_projection(m, plane).values for m in densities])
    bounds = _bounds(states, plane)
    image = None
    for ax, state in zip(axes, states):
        image = _plane_panel(ax, state, plane, norm, bounds) or image
        ax.set_xlabel(names[plane[1]])
    axes[0].set_ylabel(names[plane[0]])
    if image is not None:
        unit = f"mass per unit {names[plane[0]]} × {names[plane[1]]}"
        figure.colorbar(image, ax=list(axes), label=unit, pad=0.01, extend="min")
    if len(pairs) > 1 and any(label.startswith("particles") for label, _ in pairs):
        axes[-1].plot([], [], "o", ms=3, color=COLOURS[1], label="particles")
        axes[-1].legend(loc="upper right", handletextpad=0.2)


def _colours(marginals):
    """Return a logarithmic colour scale over the four decades below the largest value."""
    from matplotlib.colors import LogNorm

    top = max((m.max() for m in marginals), default=1.0)
    return LogNorm(1e-4 * top, top)


def _projection(measure, plane):
    names = measure.names
    return measure.marginal(names[plane[0]], names[plane[1]])


def _bounds(states, plane):
    """Return the part of the plane that holds the mass at any shown time, with a margin."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for state in states:
        for _, measure in state:
            if isinstance(measure, Density):
                for i, axis_index in enumerate(plane):
                    marginal = measure.marginal(measure.names[axis_index])
                    share = marginal.values / max(marginal.values.max(), 1e-300)
                    edges = marginal.mesh.axes[0].edges
                    full = np.flatnonzero(share > 1e-4)
                    low[i] = min(low[i], edges[full[0]])
                    high[i] = max(high[i], edges[full[-1] + 1])
            else:
                points = measure.points[:, list(plane)][measure.weights > 0]
                low = np.minimum(low, points.min(axis=0))
                high = np.maximum(high, points.max(axis=0))
    margin = 0.04 * np.maximum(high - low, 1e-6)
    return low - margin, high + margin


def _plane_panel(ax, state, plane, norm, bounds):
    image = None
    for _label, measure in state:
        if isinstance(measure, Density):
            shown = _projection(measure, plane)
            first, second = shown.mesh.axes
            image = ax.imshow(
                np.maximum(shown.values, 0.1 * norm.vmin),
                origin="lower",
                aspect="auto",
                extent=(second.lower, second.upper, first.lower, first.upper),
                cmap=MAP,
                norm=norm,
                interpolation="nearest",
            )
        else:
            share = measure.weights / max(measure.weights.max(), 1e-300)
            kept = share > 1e-6
            size = np.clip(8 * share[kept] * min(1.0, (400 / kept.sum()) ** 0.5 + 0.2), 0.3, 12)
            ax.scatter(
                measure.points[kept, plane[1]],
                measure.points[kept, plane[0]],
                s=size,
                color=COLOURS[1],
                linewidths=0,
                alpha=0.8,
                zorder=3,
            )
    low, high = bounds
    ax.set_xlim(low[1], high[1])
    ax.set_ylim(low[0], high[0])
    return image


def _line_panel(ax, state, name):
    for (label, measure), colour in zip(state, COLOURS):
        if isinstance(measure, Density):
            axis = measure.mesh.axes[0]
            ax.stairs(measure.values, axis.edges, color=colour, label=label)
        else:
            lower, upper = measure.points.min(), measure.points.max()
            bins = np.linspace(lower, upper if upper > lower else lower + 1, 41)
            weights = measure.weights
            ax.hist(
                measure.points[:, 0],
                bins,
                weights=weights / (bins[1] - bins[0]),
                histtype="stepfilled",
                alpha=0.4,
                color=colour,
                label=label,
            )
    ax.set_xlabel(name)


def _time_axis(ax, times):
    positive = times[times > 0]
    if len(positive) > 2 and positive[-1] > 30 * positive[0]:
        ax.set_xscale("log")
    ax.set_xlabel("time t")


def _objectives(ax, pairs):
    lowest = np.inf
    for (label, solution), colour, style in zip(pairs, COLOURS, ("-", "--")):
        columns = solution.diagnostics
        ax.plot(columns["t"], columns["objective"], style, color=colour, label=label)
        lowest = min(lowest, columns["objective"].min())
    _time_axis(ax, pairs[0][1].diagnostics["t"])
    values = np.concatenate([s.diagnostics["objective"] for _, s in pairs])
    if lowest > 0 and values.max() > 20 * lowest:
        ax.set_yscale("log")
    ax.set_ylabel("objective F")
    ax.legend()


def _parts(ax, solution):
    columns = solution.diagnostics
    ax.plot(columns["t"], columns["objective"], color="black", label="objective F")
    terms = [name for name in solution.problem.get("terms", ()) if np.ptp(columns[name]) > 0]
    for name, colour in zip(terms, COLOURS):
        ax.plot(columns["t"], columns[name], "--", color=colour, label=name)
    _time_axis(ax, columns["t"])
    ax.set_ylabel("objective and parts")
    ax.legend()


def _dissipation(ax, pairs):
    for (_label, solution), colour in zip(pairs, COLOURS):
        columns = solution.diagnostics
        positive = columns["dissipation"] > 0
        ax.plot(columns["t"][positive], columns["dissipation"][positive], color=colour)
    _time_axis(ax, pairs[0][1].diagnostics["t"])
    ax.set_yscale("log")
    ax.set_ylabel("dissipation −dF/dt")


def _distances(ax, table):
    shown = [name for name in table if name.startswith("w1_")]
    for name, colour in zip(shown, COLOURS):
        positive = table[name] > 0
        ax.plot(
            table["t"][positive], table[name][positive], "o-", ms=3, color=colour, label=name[3:]
        )
    _time_axis(ax, table["t"])
    ax.set_yscale("log")
    ax.set_ylabel("W1 of the marginals")
    ax.legend(title="along (axis units)")


def _fit(ax, pairs):
    """Draw the data and the final model outputs, or their differences if there is no abscissa."""
    first = pairs[0][1]
    if first.outputs is None:
        ax.axis("off")
        ax.text(0.5, 0.5, "no model output", ha="center", transform=ax.transAxes, color="0.4")
        return
    n = first.outputs.shape[1]
    target = first.target if first.target is not None and len(first.target) == n else None
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
    ax.legend()
