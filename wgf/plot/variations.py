"""The first variation beside the measure: level lines, support, and how flat it is there."""

from __future__ import annotations

import numpy as np

from wgf.functional import forms
from wgf.functional.functional import Functional
from wgf.plot import pixels
from wgf.plot.panels import bounds, colour_map, colour_scale, dots, frame, level, line_panel
from wgf.plot.style import COLOURS
from wgf.plot.views import divided

# nodes along each axis at which the first variation is drawn
NODES = 121
# shares of the mass below the slices in space
CUTS = (0.05, 0.5, 0.95)


def slices(ax, view):
    """Draw three slices of a density in space, through the middle and the outer twentieths."""
    axes, measure = divided(ax, 1, 3, sharex=True, sharey=True)[0], view.end[0][1]
    plane, mesh = view.planes[0], measure.mesh
    # without mass the same shares of the axis
    cuts = np.interp(CUTS, (0, 1), measure.bounds(2))
    cuts = measure.quantiles(2, CUTS) if measure.mass > 0 else cuts
    places = np.clip(np.searchsorted(mesh.axes[2].edges, cuts) - 1, 0, mesh.shape[2] - 1)
    norm = colour_scale([measure.values[:, :, k] for k in places])
    box = bounds([view.end], plane)
    for ax, k in zip(axes, places):
        values = np.transpose(measure.values[:, :, k], plane)
        edges = tuple(mesh.axes[i].edges for i in plane)
        shown = pixels.image(ax, values, edges, cmap=colour_map(), norm=norm)
        if view.functional is not None:
            variation_lines(ax, view.functional, measure, plane, box, at=k)
        frame(ax, view, plane, box)
        ax.set_title(f"{view.names[2]} = {mesh.axes[2].centers[k]:.3g}")
        ax.label_outer()
    label = f"density, {pixels.RULE}"
    ax.figure.colorbar(shown, ax=list(axes), label=label, pad=0.01, extend="min")
    return axes


def variation(ax, view):
    """Draw the first variation with the measure on one axis, its level lines and support on two.

    Where the flow has come to rest it is constant on the mass: how far it is from that is told.
    """
    measure, plane = view.end[0][1], view.planes[0]
    box = bounds([view.end], plane)
    if len(plane) == 2:
        spread = variation_lines(ax, view.functional, measure, plane, box)
        if measure.kind == "density":
            support(ax, measure, plane)
        else:
            dots(ax, measure, plane, view.colours[0])
        frame(ax, view, plane, box)
        ax.set_title("level lines of F' and the support")
    else:
        values, rest, (nodes,), spread = sampled(view.functional, measure, plane, box)
        beside = ax.twinx()
        line_panel(beside, view.end, 0, colours=view.colours)
        beside.set_yticks([])
        ax.set_zorder(beside.get_zorder() + 1)
        ax.patch.set_visible(False)
        if rest is not None:
            ax.plot(nodes, rest, "--", color="0.6", label="without entropy")
        ax.plot(nodes, values, color="0.2", label="F'")
        ax.set(xlabel=view.names[0], ylabel="first variation F'")
        ax.legend(fontsize=7)
    corner = {"xycoords": "axes fraction", "va": "top", "ha": "right", "fontsize": 7}
    corner["bbox"] = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1}
    note = " without entropy" if _local(view.functional) and measure.kind != "density" else ""
    ax.annotate(f"F'{note} on the mass: ± {spread:.1e}", (0.98, 0.99), **corner)
    return ax


def _local(functional):
    return functional.of_form(forms.Local)


def sampled(functional, measure, plane, box, at=None):
    """Return the first variation in a box, without the local energies, the nodes, its spread.

    The nodes are cell centres of a density, where its local energies have a value, all of them
    where a convolution gives them at once; of particles, which have no density to vary, the local
    energies are left out. The spread is the standard deviation over the mass.
    """
    density, local = measure.kind == "density", _local(functional)
    every = at is None and bool(functional.of_form(forms.Pairwise))
    nodes, inside = [], []
    for k, low, high in zip(plane, *box):
        axis = None if measure.domain is None else measure.domain.axes[k]
        if density:
            there = np.flatnonzero((axis.edges[1:] > low) & (axis.edges[:-1] < high))
            inside.append(there if every else there[:: 1 + len(there) // (2 * NODES)])
            nodes.append(axis.centers[inside[-1]])
        else:
            if axis is not None:
                low, high = max(low, axis.lower), min(high, axis.upper)
            nodes.append(np.linspace(low, high, 400 if len(plane) == 1 else NODES))
    order = np.argsort(plane)
    shape = tuple(map(len, nodes))
    grid = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, len(nodes))
    points = grid[:, order]
    if at is not None:
        points = np.column_stack([points, np.full(len(points), measure.domain.axes[2].centers[at])])
    smooth = [term for term in functional.terms if term not in local]
    rest = Functional(smooth) if smooth else None

    def values_of(part, where):
        if part is None:
            return np.zeros(shape if where is points else len(where))
        if where is points and density and every:
            whole = np.transpose(part.first_variation(measure), plane)
            return whole[np.ix_(*inside)]
        found = part.first_variation(measure, where)
        return found.reshape(shape) if where is points else found

    smooth_values = values_of(rest, points)
    if not density:
        shares = measure.weights / max(measure.mass, 1e-300)
        on_mass = values_of(rest, measure.points[:, : len(points.T)])
        return smooth_values, None, nodes, _deviation(on_mass, shares)
    values = values_of(functional, points) if local else smooth_values
    masses = measure.values if at is None else measure.values[:, :, at]
    masses = np.transpose(masses, plane if len(plane) > 1 else (0,))[np.ix_(*inside)]
    # an entropy's variation at cells next to empty says nothing, at empty ones it is infinite
    hidden = ~np.isfinite(values) | (bool(local) & (masses <= 1e-6 * masses.max()))
    shares = np.where(hidden, 0.0, masses) / max(masses[~hidden].sum(), 1e-300)
    spread = _deviation(np.where(hidden, 0.0, values), shares)
    return np.ma.array(values, mask=hidden), smooth_values if local else None, nodes, spread


def _deviation(values, shares):
    mean = np.sum(values * shares)
    return float(np.sqrt(np.sum((values - mean) ** 2 * shares)))


def variation_lines(ax, functional, measure, plane, box, at=None):
    """Draw level lines of ``F'(mu)`` in a box of a plane and return its spread over the mass.

    With an entropy their distance is that of the level lines without it: where it has done its
    work and F' is flat, there are none.
    """
    values, rest, (up, right), spread = sampled(functional, measure, plane, box, at)
    if rest is not None:
        rest = np.ma.array(rest, mask=np.ma.getmaskarray(values))
    reference = values if rest is None or not _range(rest) > 0 else rest
    step = _range(reference) / 14
    if step > 0 and _range(values) > step and min(values.shape) > 1:
        from matplotlib.ticker import MaxNLocator

        levels = MaxNLocator(15).tick_values(values.min(), values.max())
        if rest is not None:
            levels = np.arange(np.ceil(values.min() / step), values.max() / step + 1)[:60] * step
        lines = ax.contour(right, up, values, levels, colors="0.35", linewidths=0.5)
        ax.clabel(lines, lines.levels[::3], fontsize=6)
    return spread


def _range(values):
    # where all is hidden nothing varies
    seen = np.ma.asarray(values).compressed()
    return np.ptp(seen) if len(seen) else 0.0


def support(ax, measure, plane):
    """Fill the smallest set of cells that holds 99 % of the mass."""
    from matplotlib.colors import ListedColormap

    held = (measure.values > 0) & (measure.values >= level(measure.values, 0.99))
    inside = np.where(held, 1.0, np.nan)
    edges = tuple(measure.mesh.axes[k].edges for k in plane)
    fill = ListedColormap([COLOURS[1]])
    return pixels.image(ax, np.transpose(inside, plane), edges, cmap=fill, alpha=0.6)
