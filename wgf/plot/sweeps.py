"""Figures of sweeps: a column against an option, with bands, rates and success rates."""

from __future__ import annotations

import numpy as np

from wgf.plot.sheets import band, drawing, name_sizes, reference_line
from wgf.plot.style import COLOURS


def sweep(found, path=None):
    """Draw a column of a sweep against an option; see `wgf.comparison.sweeps.Summary`.

    Bands are 95 % intervals. The axes are logarithmic where all means are positive; a band that
    reaches 0 ends at a tenth of the smallest mean there. With a level a second panel has the rates
    of success.

    Returns
    -------
    matplotlib.figure.Figure
    """
    panels = 1 if found.below is None else 2
    with drawing((4.6 * panels + 0.4, 3.6), path) as figure:
        first, *rest = figure.subplots(1, panels, squeeze=False)[0]
        lines = found.lines()
        curves = [found.curve(line) for line in lines]
        positive = all((curve["mean"] > 0).all() for curve in curves if len(curve["mean"]))
        low = min((curve["mean"].min() for curve in curves if len(curve["mean"])), default=1.0)
        for line, curve, colour in zip(lines, curves, _shades(len(lines))):
            if positive:
                curve = curve | {n: np.maximum(curve[n], 0.1 * low) for n in ("low", "high")}
                band(first, curve, colour, found.label(line))
            else:
                _linear(first, curve, colour, found.label(line))
        if found.rate is not None and positive and curves:
            label = f"slope {found.rate:g}"
            reference_line(first, curves[0]["size"], curves[0]["mean"], found.rate, label)
        first.set_ylabel(found.y)
        for ax in rest:
            for line, colour in zip(lines, _shades(len(lines))):
                _linear(ax, found.successes(line), colour, found.label(line))
            ax.set(ylabel=f"rate of {found.y} < {found.below:g}", ylim=(-0.03, 1.03))
        sizes = np.unique(np.concatenate([curve["size"] for curve in curves]))
        for ax in (first, *rest):
            ax.set_xlabel(found.x)
            if sizes.min() > 0 and sizes.max() > 4 * sizes.min():
                ax.set_xscale("log")
                name_sizes(ax, sizes)
            elif positive and ax is first:
                ax.set_xscale("linear")
            ax.legend(fontsize=7)
    return figure


def _shades(count):
    return [COLOURS[k % len(COLOURS)] for k in range(count)]


def _linear(ax, curve, colour, label):
    ax.fill_between(curve["size"], curve["low"], curve["high"], color=colour, alpha=0.2, lw=0)
    ax.plot(curve["size"], curve["mean"], "o-", ms=3, lw=1.2, color=colour, label=label)
