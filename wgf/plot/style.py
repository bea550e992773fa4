"""What all figures share: colours that colour-blind readers tell apart, fonts, time axes."""

import itertools

import numpy as np

from wgf.measures.mesh import is_phase

# Okabe & Ito's palette
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
POSITIVE, NEGATIVE, SECOND = COLOURS[0], COLOURS[1], "0.1"
MAP = "Blues"
STYLE = {
    "figure.dpi": 110,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def planes(names):
    """Return up to three pairs of axes that are drawn together, by number; one axis is alone.

    Of a phase space of four axes the positions, and each of them with its velocity.
    """
    if len(names) == 1:
        return [(0,)]
    if len(names) == 4 and is_phase(names):
        return [(0, 1), (0, 2), (1, 3)]
    return list(itertools.combinations(range(len(names)), 2))[:3]


def same_unit(first: str, second: str) -> bool:
    """Return whether two axes are measured alike: x and y, or x1 and x2."""
    stems = [name.rstrip("0123456789") for name in (first, second)]
    return stems[0] == stems[1] or {first, second} <= {"x", "y", "z"}


def panel_times(times, course=None):
    """Return up to four of the times: the first, the last, and two in between.

    Parameters
    ----------
    times : array of shape (n,)
    course : (array, array), optional
        Times and a quantity that falls, such as the way that the mass still has to go. Those in
        between are then where a fifth and seven tenths of the fall are done, and on a log scale
        where nothing falls.
    """
    times = np.asarray(times)
    if len(times) <= 4:
        return times
    wanted = np.geomspace(max(times[1], times[-1] * 1e-3), times[-1], 3)[:-1]
    if course is not None:
        t, values = (np.asarray(column) for column in course)
        done = np.maximum.accumulate(values[0] - values)
        if done[-1] > 0:
            # what is reached up to round-off is reached
            shares = done / done[-1] + 1e-9
            wanted = [t[np.argmax(shares >= part)] for part in (0.2, 0.7)]
    # two in between even where the snapshots are far apart
    first, second = (1 + int(np.argmin(np.abs(times[1:-1] - t))) for t in wanted)
    if first == second:
        first, second = (first, first + 1) if first < len(times) - 2 else (first - 1, first)
    return times[[0, first, second, -1]]


def log_spaced(times):
    """Return whether the positive times are closer to even spacing in their logarithm."""
    positive = np.asarray(times)[np.asarray(times) > 0]
    if len(positive) < 3 or positive[-1] <= 30 * positive[0]:
        return False
    steps, ratios = np.diff(positive), np.diff(np.log(positive))
    return bool(np.std(ratios) / np.mean(ratios) <= np.std(steps) / np.mean(steps))


def time_axis(ax, times):
    """Label the time axis, logarithmic where the snapshots are spaced so."""
    if log_spaced(times):
        ax.set_xscale("log")
        positive = np.asarray(times)[np.asarray(times) > 0]
        ax.set_xlim(left=0.5 * positive[0])
    ax.set_xlabel("time t")


def legend_above(ax, **options):
    """Put the legend between the panel and its title, where no curve runs."""
    count = len(ax.get_legend_handles_labels()[1])
    ax.legend(
        **{
            "loc": "lower left",
            "bbox_to_anchor": (0.0, 1.0),
            "ncols": 2 if count in (2, 4) else 3,
            "borderaxespad": 0.2,
            "columnspacing": 1.2,
            "handlelength": 1.6,
            "fontsize": 8,
            **options,
        }
    )
