"""Panels of measures: projections, marginals, slices, level lines of the first variation."""

import numpy as np

from wgf.measures.density import Density
from wgf.plot.style import COLOURS, MAP

DECADES = 1e-4


def colours(marginals):
    """Return a logarithmic colour scale over the four decades below the largest value."""
    from matplotlib.colors import LogNorm

    top = max((m.max() for m in marginals), default=1.0)
    top = top if top > 0 else 1.0
    return LogNorm(DECADES * top, top)


def colour_map():
    """Return the map of densities, white where there is none."""
    import matplotlib

    return matplotlib.colormaps[MAP].with_extremes(under="white", bad="white")


def projection(measure, plane):
    """Return the marginal density of two axes given by number."""
    names = measure.names
    return measure.marginal(names[plane[0]], names[plane[1]])


def bounds(states, plane):
    """Return the part of the plane that holds the mass in any of the states, with a margin."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for state in states:
        for _, measure in state:
            if isinstance(measure, Density):
                for i, axis_index in enumerate(plane):
                    marginal = measure.marginal(measure.names[axis_index])
                    share = marginal.values / max(marginal.values.max(), 1e-300)
                    edges = marginal.mesh.axes[0].edges
                    full = np.flatnonzero(share > DECADES)
                    low[i] = min(low[i], edges[full[0]])
                    high[i] = max(high[i], edges[full[-1] + 1])
            else:
                points = measure.points[:, list(plane)][measure.weights > 0]
                low = np.minimum(low, points.min(axis=0))
                high = np.maximum(high, points.max(axis=0))
    margin = 0.04 * np.maximum(high - low, 1e-6)
    low, high = low - margin, high + margin
    domain = states[0][0][1].domain
    for i, axis_index in enumerate(plane):
        axis = None if domain is None else domain.axes[axis_index]
        if axis is not None and axis.periodic:
            # beyond its period an axis repeats itself
            low[i], high[i] = max(low[i], axis.lower), min(high[i], axis.upper)
    return low, high


def image(ax, values, first, second, norm, colours=None):
    """Draw cell values, the first axis upwards, in `colours` instead of those of densities."""
    return ax.imshow(
        values,
        origin="lower",
        aspect="auto",
        extent=(second.lower, second.upper, first.lower, first.upper),
        cmap=colour_map() if colours is None else colours,
        norm=norm,
        interpolation="nearest",
    )


def dots(ax, measure, plane, colour=COLOURS[1]):
    """Draw particles by their weight."""
    share = measure.weights / max(measure.weights.max(), 1e-300)
    kept = share > 1e-6
    size = np.clip(8 * share[kept] * min(1.0, (400 / kept.sum()) ** 0.5 + 0.2), 0.3, 12)
    return ax.scatter(
        measure.points[kept, plane[1]],
        measure.points[kept, plane[0]],
        s=size,
        color=colour,
        linewidths=0,
        alpha=0.8,
        zorder=3,
        label="particles",
    )


def plane_panel(ax, state, plane, norm, box):
    """Draw a projection of labelled measures into one panel; return the image if there is one."""
    shown = None
    for _label, measure in state:
        if isinstance(measure, Density):
            marginal = projection(measure, plane)
            shown = image(ax, marginal.values, *marginal.mesh.axes, norm)
        else:
            dots(ax, measure, plane)
    low, high = box
    ax.set_xlim(low[1], high[1])
    ax.set_ylim(low[0], high[0])
    return shown


def kind_colour(measure):
    """Return the colour of densities or that of particles."""
    return COLOURS[0 if isinstance(measure, Density) else 1]


def line_panel(ax, state, name, upright=False):
    """Draw labelled measures on one axis: steps, and histograms of particles."""
    orientation = "horizontal" if upright else "vertical"
    shades = COLOURS if len(state) > 1 else (kind_colour(state[0][1]),)
    for (label, measure), colour in zip(state, shades):
        if isinstance(measure, Density):
            axis = measure.mesh.axes[0]
            ax.stairs(
                measure.values, axis.edges, color=colour, label=label, orientation=orientation
            )
        else:
            lower, upper = measure.points.min(), measure.points.max()
            edges = np.linspace(lower, upper if upper > lower else lower + 1, 41)
            counts, _ = np.histogram(measure.points[:, 0], edges, weights=measure.weights)
            ax.stairs(
                counts / (edges[1] - edges[0]),
                edges,
                fill=True,
                alpha=0.4,
                color=colour,
                label=label,
                orientation=orientation,
            )
    if not upright:
        ax.set_xlabel(name)


def along(measure, i):
    """Return the marginal along axis `i`, also of particles without a domain."""
    if isinstance(measure, Density):
        return measure.marginal(measure.names[i])
    return type(measure)(measure.points[:, i : i + 1], measure.weights)


def joint(figure, state, plane, names, norm, box, title):
    """Draw a projection with the marginals along its sides."""
    grid = figure.add_gridspec(2, 2, width_ratios=[4, 1], height_ratios=[1, 4])
    main = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=main)
    side = figure.add_subplot(grid[1, 1], sharey=main)
    plane_panel(main, state, plane, norm, box)
    main.set_xlabel(names[plane[1]])
    main.set_ylabel(names[plane[0]])
    line_panel(top, [(label, along(m, plane[1])) for label, m in state], "")
    line_panel(side, [(label, along(m, plane[0])) for label, m in state], "", upright=True)
    for ax in (top, side):
        ax.tick_params(labelbottom=False, labelleft=False)
    top.set_title(title)
    top.set_ylabel("mass")
    side.set_xlabel("mass")


def slices(axes, measure, names, norm=None, functional=None):
    """Draw three slices of a density in space, through the middle and the outer twentieths."""
    from wgf.plot.histories import quantiles

    cuts = quantiles(measure, 2)[[0, 2, 4]]
    mesh = measure.mesh
    places = np.clip(np.searchsorted(mesh.axes[2].edges, cuts) - 1, 0, mesh.shape[2] - 1)
    norm = norm or colours([measure.values[:, :, k] for k in places])
    box = bounds([[("density", measure)]], (0, 1))
    shown = None
    for ax, k in zip(axes, places):
        shown = image(ax, measure.values[:, :, k], *mesh.axes[:2], norm)
        if functional is not None:
            variation_lines(ax, functional, measure, (0, 1), box, at=mesh.axes[2].centers[k])
        low, high = box
        ax.set_xlim(low[1], high[1])
        ax.set_ylim(low[0], high[0])
        ax.set_xlabel(names[1])
        ax.set_title(f"{names[2]} = {mesh.axes[2].centers[k]:.3g}")
    axes[0].set_ylabel(names[0])
    return shown


def space(ax, measure, names):
    """Draw particles in space, coloured by their first coordinate."""
    share = measure.weights / measure.weights.max()
    ax.scatter(
        *measure.points[:, (1, 2, 0)].T, c=measure.points[:, 0], cmap="cividis", s=4 * share, lw=0
    )
    ax.set_xlabel(names[1])
    ax.set_ylabel(names[2])
    ax.set_zlabel(names[0])


def surface(ax, measure, names, share=0.9):
    """Draw the surface of the smallest set of cells that holds a share of the mass."""
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    values, edges = coarse(measure, 40)
    order = np.sort(values.ravel())[::-1]
    reach = np.searchsorted(np.cumsum(order), share * order.sum())
    inside = np.pad(values >= order[min(reach, order.size - 1)], 1)
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
    quads, shades = np.array(quads), np.array(shades)
    base = np.array([0.34, 0.62, 0.83])
    collection = Poly3DCollection(quads, facecolors=base * shades[:, None], linewidths=0)
    collection.set_label(f"{share:.0%} of the mass")
    # kept for those who ask for the numbers: matplotlib keeps the projection only
    collection.corners = quads.reshape(-1, 3)
    ax.add_collection3d(collection)
    low, high = quads.min(axis=(0, 1)), quads.max(axis=(0, 1))
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    ax.set_xlabel(names[1])
    ax.set_ylabel(names[2])
    ax.set_zlabel(names[0])
    ax.set_title(f"{share:.0%} of the mass")


def coarse(measure, cells):
    """Return masses in blocks, at most `cells` along every axis, and the edges of the blocks."""
    values, edges = measure.values, []
    for i, axis in enumerate(measure.mesh.axes):
        starts = np.arange(0, axis.cells, -(-axis.cells // cells))
        values = np.add.reduceat(values, starts, axis=i)
        edges.append(axis.edges[np.append(starts, axis.cells)])
    return values, edges


def variation_lines(ax, functional, measure, plane, box, at=None):
    """Draw level lines of ``F'(mu)``, its smallest level set in the colour of particles."""
    low, high = box
    first, second = (np.linspace(low[i], high[i], 121) for i in (0, 1))
    grid = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.empty((len(grid), 2 if at is None else 3))
    points[:, list(plane)] = grid
    if at is not None:
        points[:, 2] = at
    values = functional.first_variation(measure, points).reshape(121, 121)
    lines = ax.contour(second, first, values, 14, colors="0.35", linewidths=0.5)
    ax.clabel(lines, lines.levels[::3], fontsize=6)
    return values


def variation(ax, functional, state, names, box):
    """Draw level lines of the first variation with the support of the measure."""
    measure = state[0][1]
    if len(names) == 1:
        low, high = box
        x = np.linspace(low[0], high[0], 400)
        values = functional.first_variation(measure, x[:, None])
        ax.plot(x, values, color="0.2", label="F'")
        lower = ax.twinx()
        line_panel(lower, state, names[0])
        lower.set_yticks([])
        ax.set_xlabel(names[0])
        ax.set_ylabel("first variation F'")
        return
    variation_lines(ax, functional, measure, (0, 1), box)
    if isinstance(measure, Density):
        support(ax, measure)
    else:
        dots(ax, measure, (0, 1))
    low, high = box
    ax.set_xlim(low[1], high[1])
    ax.set_ylim(low[0], high[0])
    ax.set_xlabel(names[1])
    ax.set_ylabel(names[0])
    ax.set_title("level lines of F' and the support")


def support(ax, measure):
    """Fill the smallest set of cells that holds 99 % of the mass."""
    values = np.sort(measure.values.ravel())[::-1]
    reach = np.searchsorted(np.cumsum(values), 0.99 * values.sum())
    level = values[min(reach, len(values) - 1)]
    inside = np.where(measure.values >= level, 1.0, np.nan)
    from matplotlib.colors import ListedColormap

    first, second = measure.mesh.axes
    ax.imshow(
        inside,
        origin="lower",
        aspect="auto",
        extent=(second.lower, second.upper, first.lower, first.upper),
        cmap=ListedColormap([COLOURS[1]]),
        alpha=0.6,
        interpolation="nearest",
    )
