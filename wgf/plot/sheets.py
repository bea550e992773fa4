"""Whole figures: the sheet of a run, two runs beside each other, a convergence study."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wgf import checks
from wgf.plot import files, histories, panels, variations
from wgf.plot.style import COLOURS, STYLE, panel_times
from wgf.plot.views import Panel, View

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextlib.contextmanager
def drawing(
    size: tuple[float, float], path: str | pathlib.Path | None = None, dpi: float | str = "figure"
) -> Iterator[Figure]:
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

    with matplotlib.rc_context(STYLE):
        figure = files.shown_figure()(figsize=size)
        yield figure
        if path is not None:
            files.save(figure, path, dpi)


def _one(view):
    return len(view.runs) == 1


def _plain(*dimensions, kind=None):
    """Return a condition: one run of unsigned measures on so many axes, of a kind if given."""

    def applies(view):
        fitting = _one(view) and not view.signed and kind in (None, view.kind)
        return fitting and len(view.names) in (dimensions or [len(view.names)])

    return applies


def _signed(view, *dimensions):
    return _one(view) and view.signed and (not dimensions or len(view.names) in dimensions)


def _observes(view):
    return any(run.problem.get("observables") for _, run in view.runs)


END = {"row": "end", "height": 3.4}
COURSE = {"row": "course"}
PANELS = [
    Panel("measures", panels.snapshots, row="times", height=panels.snapshots_height),
    Panel("joint", panels.joint, lambda v: _plain(2)(v) or _signed(v, 2), width=1.15, **END),
    Panel("surface", panels.surface, _plain(3, kind="density"), width=1.15, **END),
    Panel("slices", variations.slices, _plain(3, kind="density"), width=2.8, **END),
    Panel("space", panels.space, _plain(3, kind="particles"), width=1.15, **END),
    Panel("variation", variations.variation, lambda v: v.functional and _plain(1, 2)(v), **END),
    Panel(
        "amplitudes",
        panels.amplitudes,
        panels.has_amplitudes,
        row="end",
        width=1.3,
        height=lambda view: 3.4 if _one(view) else 2.2,
    ),
    Panel(
        "fans",
        histories.fans,
        lambda v: _plain()(v) and not panels.has_amplitudes(v),
        width=1.3,
        row="end",
        height=lambda v: max(3.4, 0.6 * len(v.names)),
    ),
    Panel("history", histories.history, lambda v: _signed(v, 1), width=1.8, **END),
    Panel("masses", histories.masses, _signed, **END),
    Panel("parts", histories.parts, _one, **COURSE),
    Panel("budget", histories.budget, _one, **COURSE),
    Panel("objectives", histories.objectives, lambda view: not _one(view), **COURSE),
    Panel("distances", histories.distances, lambda v: getattr(v.table, "curves", None), **COURSE),
    Panel("observables", histories.observables, _observes, **COURSE),
    Panel("fit", histories.fit, histories.has_outputs, **COURSE),
]


def register(panel: Panel) -> Panel:
    """Add a panel to every sheet and comparison that it applies to.

    Raises
    ------
    InputTypeError
        For anything but a `Panel`.
    InputError
        For a name that another panel has.
    """
    checks.instance("register panel", panel, Panel)
    if panel.name in [known.name for known in PANELS]:
        raise checks.InputError(
            f"register panel: there is a panel called {panel.name!r}, give it another name"
        )
    PANELS.append(panel)
    return panel


def run(
    solution,
    path: str | pathlib.Path | None = None,
    functional=None,
    panels: Sequence[Panel] | None = None,
    truth: tuple | None = None,
) -> Figure:
    """Draw a sheet for one run.

    The measure at several times in all planes of two axes; the end with its marginals (in space:
    surface and slices of a density, a view of particles) and how the mass spreads over time;
    objective and parts, energy budget, observables, fit. Of a run of signed measures the difference
    of the two copies is drawn along the positions, and the mass of each copy over time.

    Parameters
    ----------
    solution : Solution or stored run
    path : path, optional
        File to write.
    functional : Functional, optional
        Adds the level lines of the first variation with the support of the measure.
    panels : sequence of Panel, optional
        Drawn where they apply, in place of `wgf.plot.PANELS`.
    truth : (array of shape (k, d), array of shape (k,)), optional
        True positions and amplitudes, drawn beside those found.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _sheet(view_of(solution, functional, truth), path, panels)


def comparison(
    a,
    b,
    labels: tuple[str, str],
    table: dict,
    path: str | pathlib.Path | None = None,
    panels: Sequence[Panel] | None = None,
    truth: tuple | None = None,
) -> Figure:
    """Draw two runs beside each other; see `wgf.compare`.

    Parameters
    ----------
    a, b : Solution or stored run
    labels : (str, str)
    table : dict of arrays
        As in `wgf.comparison.Comparison.table`.
    path : path, optional
    panels : sequence of Panel, optional
        Drawn where they apply, in place of `wgf.plot.PANELS`.
    truth : (array of shape (k, d), array of shape (k,)), optional
        True positions and amplitudes, drawn beside those found.

    Returns
    -------
    matplotlib.figure.Figure
    """
    view = View(zip(labels, (a, b)), table=table, truth=truth)
    return _sheet(_at_times(view, table["t"]), path, panels)


def view_of(run, functional=None, truth: tuple | None = None) -> View:
    """Return a run as the panels of its sheet see it."""
    view = View([(run.snapshots[0].kind, run)], functional, truth=truth)
    return _at_times(view, run.times)


def _at_times(view, times):
    """Choose those of the times at which the measures are drawn."""
    at, way = view.way()
    view.times = panel_times(times, (at, -way))
    return view


def _sheet(view, path, chosen):
    """Draw the panels that apply row by row."""
    rows = {}
    for panel in PANELS if chosen is None else chosen:
        checks.instance("panel", panel, Panel)
        if panel.applies(view):
            rows.setdefault(panel.row, []).append(panel)
    if not rows:
        raise checks.InputError("panels: none applies to this run, give another one")
    # above them a line that says what was solved
    heights = [0.2, *(max(_height(panel, view) for panel in row) for row in rows.values())]
    with drawing((11.5, sum(heights)), path) as figure:
        head, *places = figure.subfigures(len(heights), 1, height_ratios=heights)
        head.text(0.01, 0.5, _heading(view), fontsize=7, color="0.4", va="center")
        for place, row in zip(places, rows.values()):
            widths = {"width_ratios": [panel.width for panel in row]}
            axes = place.subplots(1, len(row), squeeze=False, gridspec_kw=widths)[0]
            for ax, panel in zip(axes, row):
                panel.draw(ax, view)
    return figure


def _heading(view):
    """Return what was solved: kind, size and method of every run."""
    lines = []
    for label, run in view.runs:
        words = [f"{label}: {run.snapshots[0].extent}", run.problem.get("method")]
        lines.append(", ".join(filter(None, words)))
    return "   ".join(lines)


def _height(panel, view):
    return panel.height(view) if callable(panel.height) else panel.height


def study(found, path: str | pathlib.Path | None = None) -> Figure:
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
    size = (2.9 * len(found.titles) + 0.4, 2.9 * len(kinds) + 0.3)
    with drawing(size, path) as figure:
        grid = figure.subplots(len(kinds), len(found.titles), squeeze=False)
        for row, which in zip(grid, kinds):
            for ax, (name, title) in zip(row, found.titles.items()):
                _sweep_panel(ax, found, which, name)
                ax.set_title(title)
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
