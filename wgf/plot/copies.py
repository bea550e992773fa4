"""Signed measures over time; the masses of their copies are counted in `wgf.measures.signed`."""

from wgf.measures.signed import copies_of
from wgf.plot import histories
from wgf.plot.views import View

__all__ = ["copies_of", "history"]


def history(ax, solution, name):
    """Draw a run of signed measures on the axis called `name` over time."""
    histories.history(ax, View([(name, solution)]))
