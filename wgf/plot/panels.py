"""Panels of measures: projections, marginals, slices, level lines of the first variation."""

from __future__ import annotations

import numpy as np

from wgf.functional.functional import Functional
from wgf.plot.style import COLOURS, MAP, NEGATIVE, POSITIVE, SECOND
from wgf.plot.views import DECADES, Signed, divided, profile, reach

BINS = 64
# particles below this share of the heaviest one are not drawn
FAINT = 1e-6
# nodes along each axis at which the first variation is drawn
NODES = 121


def colour_map(signed=False):
    """Return the map of densities, white where there is none; of signed ones, white at 0."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    if not signed:
        return matplotlib.colormaps[MAP].with_extremes(under="white", bad="white")
    shades = ("#6B2A00", NEGATIVE, "#F7D3B8", "white", "#BCDDF0", POSITIVE, "#00304D")
    return LinearSegmentedColormap.from_list("signed", shades)


def colour_scale(arrays, signed=False, linear=False):
    """Return a scale of colours: four decades below the largest value, or symmetric about 0."""
    from matplotlib.colors import LogNorm, Normalize, SymLogNorm

    top = max((np.abs(values).max() for values in arrays), default=0.0)
    top = top if top > 0 else 1.0
    if not signed:
        return LogNorm(DECADES * top, top)
    return Normalize(-top, top) if linear else SymLogNorm(1e-2 * top, vmin=-top, vmax=top)


def scale_of(measures, plane, linear=False):
    """Return the scale of colours of measures drawn in a plane."""
    found = [m.marginal(*plane).values for m in measures if m.kind == "density"]
    return colour_scale(found, isinstance(measures[0], Signed), linear)


def kind_colour(measure):
    """Return the colour of densities or that of particles."""
    return COLOURS[0 if measure.kind == "density" else 1]


def bounds(states, plane):
    """Return the part of the plane that holds the mass in any of the states, with a margin."""
    measures = [measure for state in states for _, measure in state]
    ends = np.array([[reach(measure, k) for k in plane] for measure in measures])
    low, high = ends[..., 0].min(axis=0), ends[..., 1].max(axis=0)
    margin = 0.04 * np.maximum(high - low, 1e-6)
    low, high, domain = low - margin, high + margin, measures[0].domain
    for i, k in enumerate(plane if domain is not None else ()):
        # beyond its period an axis repeats itself
        if domain.axes[k].periodic or isinstance(measures[0], Signed):
            low[i], high[i] = max(low[i], domain.axes[k].lower), min(high[i], domain.axes[k].upper)
    return low, high


def image(ax, values, first, second, norm, colours=None, **options):
    """Draw cell values, the first axis upwards, in `colours` instead of those of densities."""
    return ax.imshow(
        values,
        origin="lower",
        aspect="auto",
        extent=(second.lower, second.upper, first.lower, first.upper),
        cmap=colour_map() if colours is None else colours,
        norm=norm,
        interpolation="nearest",
        **options,
    )


def dots(ax, measure, plane, colour=COLOURS[1], label="particles"):
    """Draw particles by their weight, signed ones in the colours of the signs."""
    weights, signed = measure.weights, isinstance(measure, Signed)
    share = np.abs(weights) / max(np.abs(weights).max(), 1e-300)
    kept = share > FAINT
    size = (24 if signed else 8) * share[kept] * min(1.0, (400 / kept.sum()) ** 0.5 + 0.2)
    if signed:
        colour = np.where(weights[kept] > 0, POSITIVE, NEGATIVE)
    up, right = measure.points[kept][:, plane].T
    style = {"s": np.clip(size, 0.3, 24), "c": colour, "lw": 0, "alpha": 0.8, "zorder": 3}
    return ax.scatter(right, up, label=label, **style)


def plane_panel(ax, state, plane, names, norm, box):
    """Draw labelled measures in a plane; return the image if there is one."""
    shown = None
    for _, measure in state:
        if measure.kind == "density":
            seen = measure.marginal(*plane)
            shades = colour_map(isinstance(measure, Signed))
            shown = image(ax, seen.values, *seen.mesh.axes, norm, shades)
        else:
            dots(ax, measure, plane)
    frame(ax, plane, names, box)
    return shown


def frame(ax, plane, names, box):
    """Set the limits and the names of the axes of a plane."""
    (bottom, left), (top, right) = box
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel=names[plane[1]], ylabel=names[plane[0]])


def line_panel(ax, state, k=0, name="", upright=False):
    """Draw labelled measures along an axis: steps of cells, histograms of particles.

    Of signed measures the first is filled, the others are lines in its bins.
    """
    way, many = {"orientation": "horizontal" if upright else "vertical"}, len(state) > 1
    signed = isinstance(state[0][1], Signed)
    together = signed and (many or state[0][1].kind != "density")
    edges = _bins([measure for _, measure in state], k) if together else None
    for i, (label, measure) in enumerate(state):
        values, where = profile(measure, k, edges)
        if signed and not i:
            for sign, colour, word in ((1, POSITIVE, "positive"), (-1, NEGATIVE, "negative")):
                text = f"{label}, {word}" if many else word
                style = {"fill": True, "alpha": 0.75, "lw": 0, "color": colour, "label": text}
                ax.stairs(sign * np.maximum(sign * values, 0), where, **style, **way)
        elif signed:
            ax.stairs(values, where, color=SECOND, lw=0.9, ls="--", label=label, **way)
        else:
            filled = {} if measure.kind == "density" else {"fill": True, "alpha": 0.4}
            colour = COLOURS[i] if many else kind_colour(measure)
            ax.stairs(values, where, color=colour, label=label, **filled, **way)
    if not upright:
        ax.set_xlabel(name)


def _bins(measures, k):
    """Return the edges of the bins in which measures are set beside each other."""
    cells = [m.domain.axes[k].cells for m in measures if m.kind == "density"]
    # a divisor of the cells, so that every bin holds as many of them
    fitting = [n for n in range(1, BINS + 1) if all(c % n == 0 for c in cells)]
    axis = measures[0].domain.axes[k]
    count = fitting[-1] if fitting[-1] >= 16 else BINS
    return np.linspace(axis.lower, axis.upper, count + 1)


def snapshots(ax, view):
    """Draw the measures at the chosen times, a row a plane, each on one scale."""
    grid = divided(ax, len(view.planes), len(view.times), sharex="row", sharey="row")
    for row, plane in zip(grid, view.planes):
        (_lines if len(plane) == 1 else _planes)(row, view, plane)
    for frame_, time in zip(grid[0], view.times):
        frame_.set_title(f"t = {time:.4g}")
    for inner in grid[:, 1:].flat:
        inner.set_ylabel("")
    return grid


def _lines(axes, view, plane):
    name = view.names[plane[0]]
    for ax, state in zip(axes, view.states):
        line_panel(ax, state, plane[0], name)
    axes[0].set_ylabel(f"{'signed ' if view.signed else ''}mass per unit {name}")
    axes[0].legend(fontsize=7)


def _planes(axes, view, plane):
    norm = scale_of([m for state in view.states for _, m in state], plane, linear=True)
    box, shown = bounds(view.states, plane), None
    for ax, state in zip(axes, view.states):
        shown = plane_panel(ax, state, plane, view.names, norm, box) or shown
    if shown is not None:
        extend = "neither" if view.signed else "min"
        ax.figure.colorbar(shown, ax=list(axes), label=unit(view, plane), pad=0.01, extend=extend)
    if len(view.runs) > 1 and not view.signed and any(m.kind != "density" for _, m in state):
        # a marker of one size for particles of any weight
        (marker,) = axes[-1].plot([], [], "o", ms=3, color=COLOURS[1])
        axes[-1].legend([marker], ["particles"], loc="upper right", handletextpad=0.2)


def unit(view, plane):
    """Return what the colours of a plane mean."""
    names = " × ".join(view.names[k] for k in plane)
    return f"{'signed ' if view.signed else ''}mass per unit {names}"


def joint(ax, view, state=None, plane=None, norm=None, box=None, title="the end, with marginals"):
    """Draw a projection with the marginals along its sides, of the end where no state is given."""
    state, plane = state or view.end, plane or view.planes[0]
    norm = norm or scale_of([m for _, m in state], plane)
    box = box or bounds([state], plane)
    ratios = {"width_ratios": [4, 1], "height_ratios": [1, 4]}
    (top, corner), (main, side) = divided(ax, 2, 2, ratios, sharex="col", sharey="row")
    corner.remove()
    plane_panel(main, state, plane, view.names, norm, box)
    line_panel(top, state, plane[1])
    line_panel(side, state, plane[0], upright=True)
    for beside in (top, side):
        beside.tick_params(labelbottom=False, labelleft=False)
    top.set(title=title, ylabel="mass", xlabel="")
    side.set_xlabel("mass")
    return main


def slices(ax, view):
    """Draw three slices of a density in space, through the middle and the outer twentieths."""
    axes, measure = divided(ax, 1, 3, sharex=True, sharey=True)[0], view.end[0][1]
    cuts = measure.quantiles(2, (0.05, 0.5, 0.95))
    values, mesh = measure.values, measure.mesh
    places = np.clip(np.searchsorted(mesh.axes[2].edges, cuts) - 1, 0, mesh.shape[2] - 1)
    norm = colour_scale([values[:, :, k] for k in places])
    box = bounds([view.end], (0, 1))
    for ax, k in zip(axes, places):
        shown = image(ax, values[:, :, k], *mesh.axes[:2], norm)
        if view.functional is not None:
            variation_lines(ax, view.functional, measure, box, at=k)
        frame(ax, (0, 1), view.names, box)
        ax.set_title(f"{view.names[2]} = {mesh.axes[2].centers[k]:.3g}")
        ax.label_outer()
    ax.figure.colorbar(shown, ax=list(axes), label="density", pad=0.01, extend="min")
    return axes


def _space_labels(ax, names):
    ax.set(xlabel=names[1], ylabel=names[2], zlabel=names[0])


def space(ax, view):
    """Draw particles in space, coloured by their first coordinate."""
    ((ax,),) = divided(ax, 1, 1, subplot_kw={"projection": "3d"})
    measure = view.end[0][1]
    sizes = 4 * measure.weights / max(measure.weights.max(), 1e-300)
    shades = {"c": measure.points[:, 0], "cmap": "cividis"}
    found = ax.scatter(*measure.points[:, (1, 2, 0)].T, s=sizes, lw=0, **shades)
    _space_labels(ax, view.names)
    return found


def surface(ax, view, share=0.9):
    """Draw the surface of the smallest set of cells that holds a share of the mass."""
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    ((ax,),) = divided(ax, 1, 1, subplot_kw={"projection": "3d"})
    quads, shades = faces(*coarse(view.end[0][1], 40), share)
    base = np.array([0.34, 0.62, 0.83])
    collection = Poly3DCollection(quads, facecolors=base * shades[:, None], linewidths=0)
    collection.set_label(f"{share:.0%} of the mass")
    # kept for those who ask for the numbers: matplotlib keeps the projection only
    collection.corners = quads.reshape(-1, 3)
    ax.add_collection3d(collection)
    low, high = quads.min(axis=(0, 1)), quads.max(axis=(0, 1))
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    _space_labels(ax, view.names)
    ax.set_title(f"{share:.0%} of the mass")
    return collection


def faces(values, edges, share):
    """Return corners and shades of the faces of the smallest set that holds a share of the mass."""
    inside = np.pad(values >= _level(values, share), 1)
    quads, shades = [], []
    for i in range(3):
        # a face lies where a cell of the set meets one that is not
        for index in np.argwhere(np.diff(inside, axis=i)):
            low = [edges[j][max(index[j] - (j != i), 0)] for j in range(3)]
            high = [edges[j][index[j]] for j in range(3)]
            j, k = (n for n in range(3) if n != i)
            corners = np.tile(np.array(low, dtype=float), (4, 1))
            corners[1:3, j], corners[2:, k] = high[j], high[k]
            quads.append(corners[:, (1, 2, 0)])
            shades.append((1.0, 0.8, 0.6)[i])
    return np.array(quads), np.array(shades)


def _level(values, share):
    """Return the value at and above which the cells hold a share of the mass."""
    order = np.sort(values.ravel())[::-1]
    reach = np.searchsorted(np.cumsum(order), share * order.sum())
    return order[min(reach, order.size - 1)]


def coarse(measure, cells):
    """Return masses in blocks, at most `cells` along every axis, and the edges of the blocks."""
    values, edges = measure.values, []
    for i, axis in enumerate(measure.mesh.axes):
        starts = np.arange(0, axis.cells, -(-axis.cells // cells))
        values = np.add.reduceat(values, starts, axis=i)
        edges.append(axis.edges[np.append(starts, axis.cells)])
    return values, edges


def variation(ax, view):
    """Draw the first variation with the measure on one axis, its level lines and support on two."""
    (state, (_, shown)), plane = (view.end, view.end[0]), view.planes[0]
    box = bounds([state], plane)
    if len(plane) == 2:
        variation_lines(ax, view.functional, shown, box)
        if shown.kind == "density":
            support(ax, shown)
        else:
            dots(ax, shown, plane)
        frame(ax, plane, view.names, box)
        ax.set_title("level lines of F' and the support")
        return ax
    values, (nodes,) = sampled(view.functional, shown, box)
    ax.plot(nodes, values, color="0.2", label="F'")
    lower = ax.twinx()
    line_panel(lower, state, 0)
    lower.set_yticks([])
    ax.set(xlabel=view.names[0], ylabel="first variation F'")
    return ax


def sampled(functional, measure, box, at=None):
    """Return the first variation and the nodes along the axes of a box.

    The nodes are cell centres of a density, where its local energies have a value, all of them
    where a convolution gives them at once; of particles, which have no density to vary, the local
    energies are left out.
    """
    nodes = []
    for k, (low, high) in enumerate(zip(*box)):
        axis = None if measure.domain is None else measure.domain.axes[k]
        if measure.kind == "density":
            inside = np.flatnonzero((axis.edges[1:] > low) & (axis.edges[:-1] < high))
            nodes.append(axis.centers[inside[:: 1 + len(inside) // (2 * NODES)]])
            continue
        low, high = (low, high) if axis is None else (max(low, axis.lower), min(high, axis.upper))
        nodes.append(np.linspace(low, high, 400 if len(box[0]) == 1 else NODES))
    points = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, len(nodes))
    if at is not None:
        height = measure.domain.axes[2].centers[at]
        points = np.column_stack([points, np.full(len(points), height)])
    if measure.kind != "density":
        smooth = [term for term in functional.terms if not term.local]
        functional = Functional(smooth) if smooth else None
    shape = tuple(map(len, nodes))
    values = np.zeros(shape)
    if functional is not None:
        values = functional.first_variation(measure, points).reshape(shape)
    return np.ma.masked_invalid(values), nodes


def variation_lines(ax, functional, measure, box, at=None):
    """Draw level lines of ``F'(mu)`` in a box of the first two axes."""
    values, (first, second) = sampled(functional, measure, box, at)
    if np.ptp(values) > 0 and min(values.shape) > 1:
        lines = ax.contour(second, first, values, 14, colors="0.35", linewidths=0.5)
        ax.clabel(lines, lines.levels[::3], fontsize=6)


def support(ax, measure):
    """Fill the smallest set of cells that holds 99 % of the mass."""
    from matplotlib.colors import ListedColormap

    inside = np.where(measure.values >= _level(measure.values, 0.99), 1.0, np.nan)
    fill = ListedColormap([COLOURS[1]])
    return image(ax, inside, *measure.mesh.axes, None, fill, alpha=0.6)
