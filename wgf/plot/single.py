"""One measure, one panel or one column by itself."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

from wgf import checks
from wgf.plot import sheets
from wgf.plot.panels import bounds, line_panel, plane_panel, scale_of, unit
from wgf.plot.pixels import RULE
from wgf.plot.style import time_axis
from wgf.plot.views import View
from wgf.record.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def show(subject, *what, **options) -> Any:
    """Draw a measure (see `measure`) or a run: its sheet, or what `part` names."""
    if not hasattr(subject, "snapshots"):
        return measure(subject, *what, **options)
    return part(subject, *what, **options) if what else sheets.run(subject, **options)


def measure(
    measure,
    axes: tuple | None = None,
    ax: Axes | None = None,
    path: str | pathlib.Path | None = None,
    norm=None,
) -> Any:
    """Draw a density or particles along one axis or two.

    Parameters
    ----------
    measure : Density or Particles
    axes : tuple, optional
        Names or numbers of one axis, or of the one to the right and the one upwards.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a figure is made.
    path : path, optional
        File of the figure.
    norm : matplotlib.colors.Normalize, optional
        Scale of the colours of a density.

    Returns
    -------
    artist or matplotlib.figure.Figure
        What was drawn, or the figure made for it.
    """
    held = Solution()
    held.append(0.0, measure, None, {})
    view = View([(measure.kind, held)])
    plane = view.planes[0] if axes is None else _plane(view, axes)

    def draw(ax):
        seen = view.end[0][1]
        if len(plane) == 1:
            line_panel(ax, view.end, plane[0], view.names[plane[0]], colours=view.colours)
            ax.set_ylabel(f"mass per unit {view.names[plane[0]]}")
            return ax.patches[-1]
        scale, box = norm or scale_of([seen], plane), bounds([view.end], plane)
        drawn = plane_panel(ax, view, seen, plane, scale, box)
        if measure.kind == "density":
            ax.figure.colorbar(drawn, ax=ax, label=f"{unit(view, plane)},\n{RULE}")
        return drawn

    return _into(ax, draw, path)


def _plane(view, axes):
    axes = (axes,) if isinstance(axes, str | int) else tuple(axes)
    if len(axes) not in (1, 2):
        raise checks.InputError(f"plot axes: {len(axes)} axes do not make a picture, give 1 or 2")
    found = []
    for axis in axes:
        if isinstance(axis, str):
            found += checks.positions_of("plot axes", (axis,), view.names)
        else:
            found.append(checks.whole("plot axes", axis, maximum=len(view.names) - 1))
    return tuple(reversed(found))


def part(
    run,
    name: str,
    ax: Axes | None = None,
    path: str | pathlib.Path | None = None,
    functional=None,
    truth: tuple | None = None,
) -> Any:
    """Draw one panel of a run's sheet, or one column of its diagnostics over time.

    Parameters
    ----------
    run : Solution or stored run
    name : str
        Of one of `wgf.plot.PANELS` or of a column, for example ``"joint"`` or ``"objective"``.
    ax, path
        As in `measure`.
    functional, truth
        As in `wgf.plot.run`.
    """
    panels = {panel.name: panel for panel in sheets.PANELS}
    if name in panels:
        view = sheets.view_of(run, functional, truth)
        if not panels[name].applies(view):
            raise checks.InputError(
                f"plot {name}: this panel does not apply to the run, choose from "
                f"{', '.join(key for key, panel in panels.items() if panel.applies(view))}"
            )
        return _into(ax, lambda ax: panels[name].draw(ax, view), path)
    checks.one_of("plot", name, (*panels, *run.diagnostics))

    def draw(ax):
        (line,) = ax.plot(run.diagnostics["t"], run.diagnostics[name], label=name)
        time_axis(ax, run.times)
        ax.set_ylabel(name)
        return line

    return _into(ax, draw, path)


def _into(ax, draw, path):
    if ax is not None:
        return draw(ax)
    with sheets.drawing((5.4, 3.8), path) as figure:
        draw(figure.subplots())
    return figure
