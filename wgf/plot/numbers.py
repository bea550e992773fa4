"""The numbers in a figure, read back from what was drawn, as CSV or HDF5."""

import pathlib

import numpy as np

from wgf.record import tables


def figure_numbers(figure) -> dict:
    """Return what a figure shows as ``{panel: {series: {column: array}}}``.

    Lines, steps, points and outlines have columns `x` and `y` (and `z` in space), bands the
    vertices of their outline, images `x` and `y` of the cell centres and a `value`.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    """
    found = {}
    for number, ax in enumerate(figure.axes, 1):
        if ax.get_label() == "<colorbar>":
            continue
        series = {}
        for name, columns in _drawn(ax):
            if len(columns["x"]):
                series[_unused(name, series)] = columns
        if series:
            words = [ax.get_title(), ax.get_ylabel(), ax.get_xlabel()]
            found[" | ".join([f"{number:02d}", *filter(None, words)])] = series
    return found


def _unused(name, taken):
    name = name or "series"
    if name not in taken:
        return name
    count = 2
    while f"{name} {count}" in taken:
        count += 1
    return f"{name} {count}"


def _drawn(ax):
    """Yield ``(name, columns)`` of everything drawn into one panel."""
    for line in ax.lines:
        x, y = (np.ma.filled(np.ma.asarray(v, dtype=float), np.nan) for v in line.get_data())
        yield _name(line, "line"), {"x": x, "y": y}
    for image in ax.images:
        values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        left, right, bottom, top = image.get_extent()
        edges = getattr(image, "edges", None)
        if edges is None:
            ends = ((bottom, top), (left, right))
            edges = [np.linspace(*e, n + 1) for e, n in zip(ends, values.shape)]
        y, x = np.meshgrid(*(0.5 * (e[1:] + e[:-1]) for e in edges), indexing="ij")
        yield _name(image, "image"), {"x": x.ravel(), "y": y.ravel(), "value": values.ravel()}
    for patch in ax.patches:
        if hasattr(patch, "get_data"):
            values, edges, _ = patch.get_data()
            centres = 0.5 * (edges[1:] + edges[:-1])
            yield _name(patch, "steps"), {"x": centres, "y": np.asarray(values, dtype=float)}
    for collection in ax.collections:
        yield from _collected(collection)


def _collected(collection):
    from matplotlib.collections import PathCollection

    name = _name(collection, "points")
    if hasattr(collection, "levels"):
        for level, path in zip(collection.levels, collection.get_paths()):
            x, y = path.vertices.T
            yield f"level {level:.6g}", {"x": x, "y": y}
    elif hasattr(collection, "corners"):
        x, y, z = collection.corners.T
        yield name, {"x": x, "y": y, "z": z}
    elif hasattr(collection, "_offsets3d"):
        x, y, z = (np.asarray(v, dtype=float) for v in collection._offsets3d)
        yield name, {"x": x, "y": y, "z": z}
    elif isinstance(collection, PathCollection):
        x, y = np.ma.filled(collection.get_offsets(), np.nan).T
        yield name, {"x": x, "y": y}
    else:
        for path in collection.get_paths():
            x, y = path.vertices.T
            yield _name(collection, "band"), {"x": x, "y": y}


def _name(artist, otherwise):
    label = artist.get_label()
    return otherwise if not label or label.startswith("_") else label


def write_numbers(figure, path: str | pathlib.Path) -> None:
    """Write `figure_numbers` to a ``.csv`` (one row a point) or an ``.h5`` file.

    Raises
    ------
    InputError
        For another ending.
    """
    tables.write(
        path,
        {
            (panel, name): columns
            for panel, series in figure_numbers(figure).items()
            for name, columns in series.items()
        },
    )
