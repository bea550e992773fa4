"""Panels of measures: projections, marginals, slices, level lines of the first variation."""

from __future__ import annotations

import numpy as np

from wgf.measures.signed import amplitude_projection
from wgf.plot import pixels
from wgf.plot.style import COLOURS, MAP, NEGATIVE, POSITIVE, SECOND
from wgf.plot.views import DECADES, Signed, divided, profile, reach

BINS = 64
# particles below this share of the heaviest one are not drawn
FAINT = 1e-6


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


def cells(ax, measure, plane, norm):
    """Draw the density of two axes ``(up, right)``, each pixel the largest cell that it covers."""
    seen = measure.marginal(*plane)
    edges = tuple(axis.edges for axis in seen.mesh.axes)
    shades = {"cmap": colour_map(isinstance(measure, Signed)), "norm": norm}
    return pixels.image(ax, seen.values, edges, **shades)


def dots(ax, measure, plane, colour=COLOURS[1], label="particles"):
    """Draw particles by their weight, signed ones in the colours of the signs."""
    weights, signed = measure.weights, isinstance(measure, Signed)
    share = np.abs(weights) / max(np.abs(weights).max(), 1e-300)
    kept = share > FAINT
    size = (24 if signed else 8) * share[kept] * min(1.0, (400 / max(kept.sum(), 1)) ** 0.5 + 0.2)
    if signed:
        colour = np.where(weights[kept] > 0, POSITIVE, NEGATIVE)
    up, right = measure.points[kept][:, plane].T
    style = {"s": np.clip(size, 0.3, 24), "c": colour, "lw": 0, "alpha": 0.8, "zorder": 3}
    return ax.scatter(right, up, label=label, **style)


def plane_panel(ax, view, measure, plane, norm, box, colour=None):
    """Draw one measure in a plane: an image of cells or particles by their weight."""
    if measure.kind == "density":
        drawn = cells(ax, measure, plane, norm)
    else:
        drawn = dots(ax, measure, plane, colour or view.colours[0])
    frame(ax, view, plane, box)
    return drawn


def frame(ax, view, plane, box, equal=True):
    """Set limits and names of the axes of a plane, and one scale where they have the same unit."""
    (bottom, left), (top, right) = box
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set(xlabel=view.names[plane[1]], ylabel=view.names[plane[0]])
    if equal and view.alike(plane) and 1 / 3 < (right - left) / (top - bottom) < 3:
        ax.set_aspect("equal")


def line_panel(ax, state, k=0, name="", upright=False, colours=COLOURS):
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
                # a line around, or a spike of one cell would be thinner than a pixel
                style = {"fill": True, "alpha": 0.75, "fc": colour, "ec": colour, "lw": 0.8}
                ax.stairs(sign * np.maximum(sign * values, 0), where, label=text, **style, **way)
        elif signed:
            ax.stairs(values, where, color=SECOND, lw=0.9, ls="--", label=label, **way)
        else:
            filled = {} if measure.kind == "density" else {"fill": True, "alpha": 0.4}
            style = {"color": colours[i], "label": label, "ls": ("-", "--")[i and not filled]}
            ax.stairs(values, where, **style, **filled, **way)
    if signed:
        (ax.axvline if upright else ax.axhline)(0, color="0.6", lw=0.6)
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


def _rows(view, plane):
    """Return the rows that a plane takes: one for each run, one for the difference of densities."""
    if len(plane) == 1 or len(view.runs) == 1:
        return 1
    first, second = (run.snapshots[0] for _, run in view.runs)
    return 2 + (view.kind == second.kind == "density" and first.domain == second.domain)


def snapshots_height(view):
    """Return the height of `snapshots` in inches."""
    return sum(2.8 if rows == 1 else 2.1 * rows for rows in (_rows(view, p) for p in view.planes))


def snapshots(ax, view):
    """Draw the measures at the chosen times: a row for each plane and run, each plane on one scale.

    Two densities on the same cells have their difference below them.
    """
    found = []
    for block, plane in zip(divided(ax, len(view.planes), 1)[:, 0], view.planes):
        shape = _rows(view, plane), len(view.times)
        grid = divided(block, *shape, sharex=True, sharey=True)
        (_lines if len(plane) == 1 else _planes)(grid, view, plane)
        for inner in grid.flat:
            inner.label_outer()
        found.append(grid)
    for top, time in zip(found[0][0], view.times):
        top.set_title(f"t = {time:.4g}")
    return found


def _lines(grid, view, plane):
    name, axes = view.names[plane[0]], grid[0]
    for ax, state in zip(axes, view.states):
        line_panel(ax, state, plane[0], name, colours=view.colours)
    axes[0].set_ylabel(f"{'signed ' if view.signed else ''}mass per unit {name}")
    axes[0].legend(fontsize=7)


def _planes(grid, view, plane):
    measures = [measure for state in view.states for _, measure in state]
    norm, box = scale_of(measures, plane, linear=True), bounds(view.states, plane)
    images = {}
    for ax, state in zip(grid.T, view.states):
        for i, (place, (label, measure)) in enumerate(zip(ax, state)):
            drawn = plane_panel(place, view, measure, plane, norm, box, view.colours[i])
            if measure.kind == "density":
                images[0] = drawn
            if len(state) > 1:
                corner = {"xycoords": "axes fraction", "va": "top", "fontsize": 8}
                place.annotate(label, (0.03, 0.97), color=view.colours[i], **corner)
        if len(ax) == 3:
            first, second = (measure.marginal(*plane) for _, measure in state)
            values = first.values - second.values
            shades = {"cmap": colour_map(True), "norm": colour_scale([values], True, True)}
            edges = tuple(axis.edges for axis in first.mesh.axes)
            drawn = pixels.image(ax[2], values, edges, **shades)
            frame(ax[2], view, plane, box)
            names = " − ".join(label for label, _ in state)
            ax[2].figure.colorbar(drawn, ax=ax[2], orientation="horizontal", label=names)
    for drawn in images.values():
        extend = "neither" if view.signed else "min"
        text = f"{unit(view, plane)},\n{pixels.RULE}"
        places = list(grid[:2].flat)
        places[0].figure.colorbar(drawn, ax=places, label=text, pad=0.01, extend=extend)


def unit(view, plane):
    """Return what the colours of a plane mean."""
    names = " × ".join(view.names[k] for k in sorted(plane))
    return f"{'signed ' if view.signed else ''}mass per unit {names}"


def joint(ax, view, measure=None, plane=None, norm=None, box=None, title="the end, with marginals"):
    """Draw a projection with the marginals along its sides, of the end if no measure is given."""
    measure, plane = measure or view.end[0][1], plane or view.planes[0]
    state = [(view.label, measure)]
    norm, box = norm or scale_of([measure], plane), box or bounds([state], plane)
    ratios = {"width_ratios": [4, 1], "height_ratios": [1, 4]}
    (top, corner), (main, side) = divided(ax, 2, 2, ratios, sharex="col", sharey="row")
    corner.remove()
    drawn = plane_panel(main, view, measure, plane, norm, box)
    # of one width with the marginal above
    main.set_aspect("auto")
    line_panel(top, state, plane[1], colours=view.colours)
    line_panel(side, state, plane[0], upright=True, colours=view.colours)
    for beside in (top, side):
        beside.tick_params(labelbottom=False, labelleft=False)
    top.set(title=title, ylabel="mass", xlabel="")
    side.set_xlabel("mass")
    return drawn


# amplitude below this share of the largest is not counted as a spike
LEAST = 0.02


def has_amplitudes(view):
    """Return whether a view has an amplitude measure over one position: spikes are looked for."""
    if view.signed:
        return len(view.names) == 1
    return view.amplitude and len(view.names) == 2 and view.names[0] == "w"


def amplitudes(ax, view):
    """Draw the amplitude measure ``∫ w dmu(w, ·)`` at the end as spikes, with the truth if given.

    A spike is a group of neighbouring bins of one sign: a stem of its amplitude at its mean, and a
    bar over its width, beside which a spread-out group is seen for what it is.
    """
    name = view.names[-1]
    ax.axhline(0, color="0.6", lw=0.6)
    if view.truth is not None:
        positions, sizes = (np.ravel(each) for each in view.truth)
        ax.vlines(positions, 0, sizes, color="0.8", lw=6, label="truth")
    for (label, measure), colour, width in zip(view.end, view.colours, (4, 1.2)):
        signed = measure if view.signed else Signed(amplitude_projection(measure))
        middle, size, low, high = spikes(signed)
        ax.vlines(middle, 0, size, color=colour, lw=width if len(view.end) > 1 else 2, label=label)
        ax.hlines(size, low, high, color=colour, lw=2)
    ax.set(xlabel=name, ylabel="amplitude at the end", title="amplitude by position")
    low, high = bounds([[("", signed)]], (0, 0))
    ax.set_xlim(low[0], high[0])
    ax.legend(fontsize=7)
    return ax


def spikes(signed):
    """Return position, amplitude and ends of the groups of neighbouring bins of one sign."""
    one = signed.marginal(0)
    axis = None if one.domain is None else one.domain.axes[0]
    if one.kind == "density":
        edges = axis.edges
    else:
        ends = one.points.min(), one.points.max()
        edges = np.linspace(*(ends if axis is None else (axis.lower, axis.upper)), 257)
    values, _ = profile(one, 0, edges)
    masses, centres = values * np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    kept = np.flatnonzero(np.abs(masses) > LEAST * np.abs(masses).max())
    # a gap of one bin does not part a spike, another sign does
    parted = (np.diff(kept) > 2) | (np.diff(np.sign(masses[kept])) != 0)
    groups = np.split(kept, np.flatnonzero(parted) + 1) if len(kept) else []
    found = [
        (centres[g] @ masses[g] / masses[g].sum(), masses[g].sum(), edges[g[0]], edges[g[-1] + 1])
        for g in groups
    ]
    return np.array(found).reshape(-1, 4).T


def _space_labels(ax, names):
    ax.set(xlabel=names[1], ylabel=names[2], zlabel=names[0])
    # room for the label at the right
    ax.set_box_aspect(None, zoom=0.85)


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
    inside = np.pad(values >= level(values, share), 1)
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


def level(values, share):
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
