"""Images that are true at every pixel: each pixel shows the largest of the cells that it covers.

matplotlib's nearest cell leaves out most cells of a mesh that is finer than the picture, and a
spike of one cell with them. The reduction is made when the image is rendered, for the pixels that
there are then: on screen, in a file of any resolution, and after zooming.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.image import AxesImage

# told beside the scale
RULE = "largest cell per pixel"
# of a cell; edges of pixels and cells that meet up to round-off overlap by less
TOUCH = 1e-6


def largest(values: np.ndarray, rows: tuple, columns: tuple) -> np.ndarray:
    """Return the value of largest size in every block of cells; NaN counts as nothing.

    Parameters
    ----------
    values : array of shape ``(m, n)``
    rows, columns : (array, array)
        First cell of every block along an axis, and the one after the last.
    """
    high = np.where(np.isnan(values), -np.inf, values)
    low = np.where(np.isnan(values), np.inf, values)
    for axis, (start, stop) in enumerate((rows, columns)):
        high = _reduced(np.maximum, high, start, stop, axis)
        low = _reduced(np.minimum, low, start, stop, axis)
    found = np.where(high >= -low, high, low)
    return np.where(np.isfinite(found), found, np.nan)


def _reduced(function, values, start, stop, axis):
    # every second segment lies between two blocks and is dropped; the last cell is never reduced
    pad = [(0, 0), (0, 0)]
    pad[axis] = (0, 1)
    values = np.pad(values, pad, mode="edge")
    ends = np.stack([start, stop], axis=1).ravel()
    return np.take(function.reduceat(values, ends, axis=axis), np.arange(0, len(ends), 2), axis)


def covered(edges: np.ndarray, places: np.ndarray) -> tuple:
    """Return the cells that overlap each interval between `places`, as ``(first, after last)``.

    Parameters
    ----------
    edges : array of shape ``(n + 1,)``
        Of the cells, increasing.
    places : array of shape ``(k + 1,)``
        Ends of the intervals, in either direction.
    """
    cells = len(edges) - 1
    # places in units of cells
    at = np.interp(places, edges, np.arange(cells + 1.0))
    low, high = np.minimum(at[1:], at[:-1]), np.maximum(at[1:], at[:-1])
    start = np.clip(np.floor(low + TOUCH), 0, cells - 1).astype(int)
    stop = np.ceil(high - TOUCH).astype(int)
    return start, np.clip(stop, start + 1, cells)


@functools.cache
def _artist():
    from matplotlib.image import AxesImage

    class Pixels(AxesImage):
        """An image of cells with given edges whose pixels show the largest cell they cover."""

        def __init__(self, ax, values, edges, **options):
            rows, columns = edges
            extent = (columns[0], columns[-1], rows[0], rows[-1])
            super().__init__(ax, origin="lower", extent=extent, **options)
            self.edges = edges
            self.set_data(values)
            self.set_clip_path(ax.patch)

        def make_image(self, renderer, magnification=1.0, unsampled=False):
            """Return the pixels of the axes and their lower left corner."""
            x0, y0, x1, y1 = self.axes.bbox.extents
            left, bottom = math.floor(x0), math.floor(y0)
            corners = []
            for low, high in ((left, x1), (bottom, y1)):
                count = max(math.ceil((high - low) * magnification), 1)
                corners.append(low + np.arange(count + 1) / magnification)
            inverse = self.axes.transData.inverted()
            x = inverse.transform(np.column_stack([corners[0], np.full(len(corners[0]), y0)]))[:, 0]
            y = inverse.transform(np.column_stack([np.full(len(corners[1]), x0), corners[1]]))[:, 1]
            values = np.ma.filled(np.ma.asarray(self.get_array(), dtype=float), np.nan)
            rows, columns = self.edges
            values = largest(values, covered(rows, y), covered(columns, x))
            colours = self.to_rgba(np.ma.masked_invalid(values), alpha=self.get_alpha(), bytes=True)
            for places, edges, axis in ((y, rows, 0), (x, columns, 1)):
                middle = 0.5 * (places[1:] + places[:-1])
                outside = (middle < edges[0]) | (middle > edges[-1])
                colours[(slice(None),) * axis + (outside,)] = 0
            return colours, left, bottom, None

    return Pixels


def image(ax, values: np.ndarray, edges: tuple, **options) -> AxesImage:
    """Draw cells, the first axis upwards; see the module.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    values : array of shape ``(m, n)``
    edges : (array of shape ``(m + 1,)``, array of shape ``(n + 1,)``)
        Edges of the cells along both axes, which need not be even.
    **options
        ``cmap``, ``norm``, ``alpha`` and others of `matplotlib.image.AxesImage`.
    """
    alpha = options.pop("alpha", None)
    drawn = _artist()(ax, values, edges, **options)
    drawn.set_alpha(alpha)
    ax.add_image(drawn)
    ax.update_datalim([(edges[1][0], edges[0][0]), (edges[1][-1], edges[0][-1])])
    ax.autoscale_view()
    return drawn
