"""What panels ask: a run or two with the chosen times, and measures with their cells and points."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wgf.functional.functional import Functional, Term
from wgf.measures.mesh import is_phase
from wgf.measures.signed import is_signed, is_unbalanced
from wgf.plot.style import COLOURS, planes, same_unit
from wgf.record.solution import in_phase_space

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# below this share of the largest value there is nothing to see
DECADES = 1e-4
# snapshots of a long run that are read for a panel over time
READ = 60
# shares of the mass whose places say where it is
LEVELS = np.arange(0.01, 1.0, 0.02)


class Signed:
    """The difference of the two copies of a signed measure, along its positions.

    It answers panels as the measure of one copy does, with values and weights of both signs.
    """

    def __init__(self, copies):
        self.copies, self.kind = copies, copies.kind
        # particles may be in no box
        domain = copies.domain
        self.domain = self.mesh = None if domain is None else domain.sub(copies.names[1:])

    @property
    def points(self):
        """Positions, shape ``(n, dimension)``."""
        return self.copies.points[:, 1:]

    @property
    def weights(self):
        """Signed masses, shape ``(n,)``."""
        return np.sign(self.copies.points[:, 0]) * self.copies.weights

    @property
    def values(self):
        """Signed mass of the cells per unit volume of the positions."""
        below, above = self.copies.values
        return (above - below) * self.copies.mesh.axes[0].spacing

    def marginal(self, *axes: int) -> Signed:
        """Return the signed measure along some positions."""
        return Signed(self.copies.marginal(0, *(1 + k for k in axes)))


def profile(measure, k: int, edges=None) -> tuple:
    """Return mass per unit length along an axis and the edges of its cells, or of bins."""
    one = measure.marginal(k)
    if edges is None and one.kind == "density":
        return one.values, one.mesh.axes[0].edges
    if edges is None:
        low, high = one.points.min(), one.points.max()
        edges = np.linspace(low, high if high > low else low + 1, 41)
    masses, _ = np.histogram(one.points[:, 0], edges, weights=one.weights)
    return masses / np.diff(edges), edges


def reach(measure, k: int) -> tuple[float, float]:
    """Return the ends of the part of an axis that holds the mass, of a signed one its own ends."""
    if isinstance(measure, Signed) and measure.domain is not None:
        return measure.domain.axes[k].lower, measure.domain.axes[k].upper
    if measure.kind == "density":
        values, edges = profile(measure, k)
        full = np.flatnonzero(values > DECADES * values.max())
        return (edges[full[0]], edges[full[-1] + 1]) if len(full) else (edges[0], edges[-1])
    column = measure.points[measure.weights != 0, k]
    column = column if len(column) else measure.points[:, k]
    return column.min(), column.max()


class View:
    """One run or two as panels ask about them.

    Attributes
    ----------
    runs : list of (str, run)
        With their labels; particles with velocities as points of phase space.
    label, run : str, run
        The first of them.
    names : tuple of str
        Axes that are drawn: of signed measures the positions.
    planes : list of tuples
        Pairs ``(up, right)`` of axes that are drawn together, by number; one axis is alone.
    times : array
        The times at which the measures are drawn.
    colours : list
        One for each run: densities and particles have their own, two of a kind the first two.
    amplitude : bool
        Whether the first axis is an amplitude and the others are positions.
    signed : bool
        Whether the measures are two copies of which the difference is drawn.
    functional : Functional or None
    table : dict or None
        Of a comparison.
    truth : (array, array) or None
        True positions and amplitudes.
    """

    def __init__(self, runs, functional=None, table=None, truth=None):
        self.runs = [(label, in_phase_space(run)) for label, run in runs]
        self.label, self.run = self.runs[0]
        found = [run for _, run in self.runs]
        first = self.run.snapshots[0]
        self.signed = any(map(is_unbalanced, found)) and all(
            is_signed(run.snapshots[0]) for run in found
        )
        self.names = first.axis_names(self.run.problem.get("axes"))[self.signed :]
        self.phase = is_phase(self.names)
        if isinstance(functional, Term):
            functional = Functional([functional])
        self.amplitude = self._amplitude(functional)
        self.planes = [self._oriented(plane) for plane in planes(self.names)]
        kinds = [run.snapshots[0].kind for run in found]
        order = [0 if kind == "density" else 1 for kind in kinds]
        order = order if len(set(kinds)) == len(kinds) else range(len(kinds))
        self.colours = [COLOURS[k] for k in order]
        self.table, self.truth = table, truth
        # with momentum the first variation is a function of the positions alone
        self.functional = None if self.phase else functional
        self.times = self.run.times
        self.kind = first.kind

    def _amplitude(self, functional):
        """Return whether the first axis is an amplitude, as that of neurons and filters is."""
        if self.signed or self.phase or len(self.names) < 2:
            return False
        functional = functional or getattr(self.run, "functional", None)
        risks = getattr(functional, "risks", ())
        return self.names[0] in ("a", "w") or any(risk.features.amplitude for risk in risks)

    def _oriented(self, plane):
        """Return an amplitude upwards over its position, others as one writes them: x, then y."""
        if len(plane) == 1 or (self.amplitude and 0 in plane):
            return plane
        return plane[::-1]

    def alike(self, plane) -> bool:
        """Return whether both axes of a plane have the same unit."""
        return len(plane) == 2 and same_unit(*(self.names[k] for k in plane))

    def see(self, measure):
        """Return a measure as panels read it: a signed one as the difference of its copies."""
        return Signed(measure) if self.signed else measure

    def at(self, time: float) -> list:
        """Return the labelled measures of all runs at a time."""
        return [(label, self.see(run.at(time))) for label, run in self.runs]

    @functools.cached_property
    def states(self) -> list:
        """The labelled measures at every chosen time."""
        return [self.at(time) for time in self.times]

    @functools.cached_property
    def end(self) -> list:
        """The last measures with their labels."""
        return [(label, self.see(run.final)) for label, run in self.runs]

    def over_time(self, count: int = READ) -> tuple:
        """Return times and measures of the first run, at most `count` of them."""
        index = np.unique(np.linspace(0, len(self.run.times) - 1, count).astype(int))
        measures = [self.see(self.run.snapshots[int(k)]) for k in index]
        return np.asarray(self.run.times)[index], measures

    @functools.cached_property
    def spread(self) -> tuple:
        """Times and quantiles of the mass at `LEVELS`, shape ``(times, axes, levels)``."""
        times, found = [], []
        # reading every snapshot of a long run would be slow, and one at a time is held
        index = np.unique(np.linspace(0, len(self.run.times) - 1, READ).astype(int))
        for k in index:
            measure = self.run.snapshots[int(k)]
            times.append(self.run.times[k])
            axes = range(int(self.signed), len(self.names) + self.signed)
            empty = not measure.mass > 0
            found.append([LEVELS * np.nan if empty else measure.quantiles(i, LEVELS) for i in axes])
        return np.array(times), np.array(found)

    def way(self) -> tuple:
        """Return times and the way that the mass has gone by then: W1 along the axes, added up.

        Every axis counts in units of the largest spread along it.
        """
        times, found = self.spread
        scale = np.ptp(found, axis=2).max(axis=0)
        steps = np.abs(np.diff(found, axis=0)).mean(axis=2) / np.where(scale > 0, scale, 1.0)
        return times, np.append(0.0, np.cumsum(np.nan_to_num(steps).sum(axis=1)))


@dataclass(frozen=True)
class Panel:
    """One part of a sheet: what it is called, when it has something to show, how it is drawn.

    Parameters
    ----------
    name : str
    draw : callable ``(ax, view)``
        Draws a `View` into axes and returns what it drew; `divided` replaces the axes by several.
    applies : callable ``(view) -> bool``
        Whether the panel has anything to say about the view.
    row : str
        Panels of the same row stand beside each other.
    width : float
        Relative to the other panels of the row.
    height : float or callable of the view
        Height of the row in inches.
    """

    name: str
    draw: Callable[[Axes, View], Any]
    applies: Callable[[View], bool] = lambda view: True
    row: str = "own"
    width: float = 1.0
    height: float | Callable[[View], float] = 3.0


def divided(ax: Axes, rows: int, columns: int, ratios=None, **options):
    """Return an array of axes in the place of `ax`, for a panel of several frames."""
    spec, figure = ax.get_subplotspec(), ax.figure
    if spec is None:
        ends = zip(("left", "bottom", "right", "top"), ax.get_position().extents)
        spec = figure.add_gridspec(1, 1, **dict(ends))[0]
    ax.remove()
    grid = spec.subgridspec(rows, columns, **(ratios or {}))
    return grid.subplots(squeeze=False, **options)
