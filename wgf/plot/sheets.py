"""Whole figures: the sheet of a run, two runs beside each other, a convergence study."""

import contextlib

import numpy as np

from wgf.measures.density import Density
from wgf.measures.mesh import is_phase
from wgf.plot import copies, files, histories, panels
from wgf.plot.style import COLOURS, STYLE, axis_names, kind, panel_times, planes
from wgf.record.solution import in_phase_space


@contextlib.contextmanager
def drawing(size, path=None, dpi="figure"):
    """Give a figure of the house's style to draw into, and write it where there is a path.

    Parameters
    ----------
    size : (float, float)
        Width and height in inches.
    path : path, optional
        File to write when all is drawn.
    dpi : float, optional
        Pixels an inch in the file.
    """
    path = files.check(path)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        yield figure
        if path is not None:
            files.save(figure, path, dpi)


def run(solution, path=None, functional=None):
    """Draw a sheet for one run.

    The measure at several times in all planes of two axes; the end with its marginals (in space:
    surface and slices of a density, a view of particles) and how the mass spreads over time;
    objective and parts, energy budget, fit. Of a run of signed measures the difference of the two
    copies is drawn along the positions, and the mass of each copy over time.

    Parameters
    ----------
    solution : Solution or stored run
    path : path, optional
        File to write.
    functional : Functional, optional
        Adds the level lines of the first variation with the support of the measure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    solution = in_phase_space(solution)
    if is_phase(axis_names(solution)):
        # the first variation is a function of the positions alone
        functional = None
    pairs = [(kind(solution), solution)]
    columns = solution.diagnostics
    shown = panel_times(solution.times, (columns["t"], columns["objective"]))

    def lower(axes):
        histories.parts(axes[0], solution)
        histories.budget(axes[1], solution)
        histories.fit(axes[2], pairs)

    def middle(figure):
        if copies.on_copies(run for _, run in pairs):
            copies.ending(figure, solution, axis_names(solution)[1:])
        else:
            _ending(figure, solution, functional)

    return _sheet(pairs, shown, lower, path, middle)


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
    columns = a.diagnostics
    shown = panel_times(table["t"], (columns["t"], columns["objective"]))

    def lower(axes):
        histories.objectives(axes[0], pairs)
        histories.distances(axes[1], table)
        histories.fit(axes[2], pairs)

    return _sheet(pairs, shown, lower, path)


def _sheet(pairs, shown, lower, path, middle=None):
    names, draw = axis_names(pairs[0][1]), _measures
    if copies.on_copies(run for _, run in pairs):
        names, draw = names[1:], copies.measures
    shown_planes = planes(names)
    heights = [2.8 * len(shown_planes), *([3.4] if middle else []), 3.0]
    with drawing((11.5, sum(heights)), path) as figure:
        rows = figure.subfigures(len(heights), 1, height_ratios=heights)
        upper = rows[0]
        grid = upper.subplots(
            len(shown_planes), len(shown), sharex="row", sharey="row", squeeze=False
        )
        for i, plane in enumerate(shown_planes):
            draw(upper, grid[i], pairs, shown, plane, names)
        for ax, t in zip(grid[0], shown):
            ax.set_title(f"t = {t:.4g}")
        if middle:
            middle(rows[1])
        lower(rows[-1].subplots(1, 3))
    return figure


def _measures(figure, axes, pairs, shown, plane, names):
    """Draw one projection at every shown time, all panels on one colour scale."""
    states = [[(label, s.at(t)) for label, s in pairs] for t in shown]
    if len(plane) == 1:
        for ax, state in zip(axes, states):
            panels.line_panel(ax, state, names[0])
        axes[0].set_ylabel(f"mass per unit {names[0]}")
        axes[0].legend()
        return
    densities = [m for state in states for _, m in state if isinstance(m, Density)]
    norm = panels.colours([panels.projection(m, plane).values for m in densities])
    box = panels.bounds(states, plane)
    image = None
    for ax, state in zip(axes, states):
        image = panels.plane_panel(ax, state, plane, norm, box) or image
        ax.set_xlabel(names[plane[1]])
    axes[0].set_ylabel(names[plane[0]])
    if image is not None:
        unit = f"mass per unit {names[plane[0]]} × {names[plane[1]]}"
        figure.colorbar(image, ax=list(axes), label=unit, pad=0.01, extend="min")
    if len(pairs) > 1 and any(label.startswith("particles") for label, _ in pairs):
        # a marker of one size for particles of any weight
        (marker,) = axes[-1].plot([], [], "o", ms=3, color=COLOURS[1])
        axes[-1].legend([marker], ["particles"], loc="upper right", handletextpad=0.2)


def _ending(figure, solution, functional):
    """Draw the last snapshot in detail and the spread of the mass over time."""
    names, label, measure = axis_names(solution), kind(solution), solution.final
    d, density = len(names), isinstance(measure, Density)
    state = [(label, measure)]
    solid = d == 3 and density
    extra = functional is not None and (d < 3 or not density) and d < 4
    ratios = [1.15] * (d in (2, 3)) + [2.8] * solid + [1.15] * (extra and d < 3) + [1.3]
    columns = list(np.atleast_1d(figure.subfigures(1, len(ratios), width_ratios=ratios)))
    if d == 2:
        box = panels.bounds([state], (0, 1))
        norm = panels.colours([measure.values] if density else [])
        panels.joint(columns[0], state, (0, 1), names, norm, box, "the end, with marginals")
    elif solid:
        panels.surface(columns[0].add_subplot(projection="3d"), measure, names)
        axes = columns[1].subplots(1, 3, sharex=True, sharey=True)
        image = panels.slices(axes, measure, names, functional=functional)
        columns[1].colorbar(image, ax=list(axes), label="density", pad=0.01, extend="min")
    elif d == 3:
        panels.space(columns[0].add_subplot(projection="3d"), measure, names)
    if extra and d < 3:
        plane = (0,) if d == 1 else (0, 1)
        box = panels.bounds([state], plane) if d == 2 else _ends(measure)
        panels.variation(columns[-2].subplots(), functional, state, names, box)
    # of many axes the first four fit
    fans = columns[-1].subplots(min(d, 4), 1, sharex=True, squeeze=False)[:, 0]
    histories.fans(fans, solution, names)


def _ends(measure):
    """Return the ends of the one axis of a measure."""
    if measure.domain is not None:
        axis = measure.domain.axes[0]
        return [axis.lower], [axis.upper]
    return [measure.points.min()], [measure.points.max()]


TITLES = {
    "objective_gap": "objective, relative gap",
    "output_rms": "model output, rms",
    "w1": "W1 of the measures",
    "mmd": "maximum mean discrepancy",
    "energy": "energy distance",
}


def study(found, path=None):
    """Draw a convergence study: a row a kind of run, a panel a distance; see `wgf.compare`.

    Parameters
    ----------
    found : Study
    path : path, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    kinds = list(dict.fromkeys(fit["kind"] for fit in found.fits))
    kinds = kinds or sorted(set(found.table["kind"]))
    titles = TITLES | {n: f"flat norm along {n[5:]}" for n in found.quantities if n[:5] == "flat_"}
    shown = [name for name in found.quantities if name in titles]
    size = (2.9 * len(shown) + 0.4, 2.9 * len(kinds) + 0.3)
    with drawing(size, path) as figure:
        grid = figure.subplots(len(kinds), len(shown), squeeze=False)
        for row, which in zip(grid, kinds):
            for ax, name in zip(row, shown):
                _sweep_panel(ax, found, which, name)
                ax.set_title(titles[name])
        figure.suptitle(f"distance from {found.reference} at t = {found.time:.4g}", fontsize=10)
    return figure


def _sweep_panel(ax, found, which, name):
    sweep = found.sweep(which, name)
    colour = COLOURS[0 if which == "density" else 1]
    band(ax, sweep, colour, "measured")
    fit = next((f for f in found.fits if f["kind"] == which and f["quantity"] == name), None)
    if fit is not None and np.isfinite(fit["expected"]):
        reference_line(ax, sweep["size"], sweep["mean"], fit["expected"])
    side = "left" if which == "particles" else "right"
    if fit is not None:
        x = 0.04 if side == "left" else 0.96
        ax.text(x, 0.04, f"slope {fit['slope']:.2f}", transform=ax.transAxes, color=colour, ha=side)
    if which == "density":
        name_sizes(ax, sweep["size"])
    ax.set_xlabel("cell width h" if which == "density" else "particles m")
    ax.legend(loc="upper right" if which == "particles" else "upper left", fontsize=7)


def name_sizes(ax, sizes):
    """Put the ticks of a logarithmic axis where the points are, if they are few."""
    if len(sizes) > 6:
        return
    ax.set_xticks(sizes, [f"{size:.4g}" for size in sizes])
    ax.set_xticks([], minor=True)


def band(ax, sweep, colour, label):
    """Draw means over repeats with their 95 % confidence band, on log scales."""
    ax.fill_between(
        sweep["size"],
        np.maximum(sweep["low"], 1e-300),
        np.maximum(sweep["high"], 1e-300),
        color=colour,
        alpha=0.2,
        lw=0,
    )
    ax.plot(sweep["size"], sweep["mean"], "o-", ms=3, lw=1.2, color=colour, label=label)
    if (sweep["mean"] > 0).any():
        from matplotlib.ticker import NullFormatter

        ax.set_xscale("log")
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        if high > 10 * low:
            ax.yaxis.set_minor_formatter(NullFormatter())


def reference_line(ax, sizes, means, slope, label=None):
    """Draw the expected rate just above the measured points."""
    sizes, means = np.asarray(sizes, dtype=float), np.asarray(means)
    if not (means > 0).all():
        return
    anchor = np.exp(np.mean(np.log(means) - slope * np.log(sizes)))
    variable = "h" if slope > 0 else "m"
    label = label or f"${variable}^{{{slope:.3g}}}$"
    ax.plot(sizes, 1.6 * anchor * sizes**slope, "--", lw=0.9, color="0.4", label=label)
