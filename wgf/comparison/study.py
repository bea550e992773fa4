"""Convergence studies: several runs against a reference, fitted rates, tables, figures."""

from __future__ import annotations

import re

import numpy as np

from wgf.comparison import table as named
from wgf.comparison.common import Runs, State, joined, objective_gap, output_gap
from wgf.comparison.statistics import fit, slope, success, summarise
from wgf.distances import standard

__all__ = ["Study", "particle_rate", "slope", "summarise"]

# gaps of runs, as Distance is of measures, with the titles of their panels
GAPS = {"objective_gap": "objective, relative gap", "output_rms": "model output, rms"}


class Study:
    """Runs compared with a reference at the last time that all of them share.

    Attributes
    ----------
    time : float
    table : Table
        One row per run: ``run``, ``kind`` (density or particles), ``size`` (cell width h, the
        geometric mean over the axes, or number of particles m), ``count`` (cells or particles),
        ``objective``, ``objective_gap`` (relative), ``mass``, ``output_rms``, ``w1_<axis>`` of the
        marginals, ``w1`` of the measures with ``w1_bound`` (see `wgf.wasserstein`; absent in
        several dimensions without POT), ``energy`` and ``mmd`` (with the reference's standard
        deviations as widths). For unbalanced flows ``flat_<position>`` stands in place of these
        distances, see `wgf.comparison.Comparison`.
    quantities : list of str
        Columns that are fitted.
    titles : dict
        Titles of the panels of a figure, by quantity.
    fits : list of dict
        For every kind and quantity with at least two sizes: ``kind``, ``quantity``, ``slope`` of
        the logarithm of the mean against that of the size, ``expected``, ``sizes``. Means below
        half their bound, which the pieces do not resolve, are left out.

    Notes
    -----
    Expected rates: the distance of a density falls with the order of its method in h where the
    solution is smooth. For independent particles the maximum mean discrepancy, the energy
    distance, the model output and W1 of marginals fall like ``m^(-1/2)``; W1 of the measures like
    ``m^(-1/2)`` in one dimension and up to a logarithm in two, like ``m^(-1/d)`` beyond. No curve
    falls below the distance of the reference from the limit.
    """

    def __init__(self, reference, runs, limit: int = standard.LIMIT, distances=None):
        self._found = found = Runs((reference, *runs), distances, standard.STUDY)
        self.limit, self.names, self.unbalanced = limit, found.names, found.unbalanced
        self.time, self.dimension = found.times[-1], len(found.names)
        target, *states = (State(run, self.time) for run in found.runs)
        self.reference = f"{_label(found.runs[0], 0)} ({target.measure.extent})"
        self.orders: dict[str, set] = {}
        rows = [
            self._row(target, state, run, k)
            for k, (state, run) in enumerate(zip(states, found.runs[1:]), 1)
        ]
        self.table = named.Table(rows, {"size": "h or m"}, ("mass", "count"))
        self.kinds = [str(kind) for kind in dict.fromkeys(self.table["kind"])]
        self.quantities = [name for name in self.table if name in GAPS or name in found.placed]
        titles = GAPS | found.words(standard.Distance.panel)
        self.titles = {name: titles[name] for name in self.quantities if titles[name] is not None}
        fits = (self._fit(kind, name) for kind in self.kinds for name in self.quantities)
        self.fits = [each for each in fits if each is not None]

    def _row(self, target, state, run, k):
        measure = state.measure
        row = {"run": _label(run, k), "kind": measure.kind, "size": float(measure.resolution)}
        row |= {"count": measure.size, "objective": state.objective}
        row |= {"objective_gap": objective_gap(target, state), "mass": measure.mass}
        row |= output_gap(target, state)
        if measure.kind == "density":
            self.orders.setdefault(measure.kind, set()).add(_order(run.problem.get("method", "")))
        placed = self._found.placed
        return joined(row, standard.measured(placed, target.measure, measure, self.limit))

    def _of(self, kind, quantity):
        chosen = self.table["kind"] == kind
        return self.table["size"][chosen], self.table[quantity][chosen]

    def sweep(self, kind: str, quantity: str, statistic="mean", interval="t"):
        """Return `summarise` of one quantity over the runs of one kind."""
        return summarise(*self._of(kind, quantity), statistic, interval)

    def success(self, kind: str, quantity: str, below: float):
        """Return the rate of runs of one kind with a quantity below a level, for each size."""
        return success(*self._of(kind, quantity), below)

    def _fit(self, kind, quantity):
        sizes, values = self._of(kind, quantity)
        if f"{quantity}_bound" in self.table:
            resolved = values > 0.5 * self._of(kind, f"{quantity}_bound")[1]
            sizes, values = sizes[resolved], values[resolved]
        found = fit(sizes, values)
        if found is None:
            return None
        return {
            "kind": kind,
            "quantity": quantity,
            "slope": found.slope,
            "expected": self.expected(kind, quantity),
            "sizes": found.sizes,
        }

    def expected(self, kind: str, quantity: str) -> float:
        """Return the expected slope in h or m, NaN where none is known."""
        orders = self.orders.get(kind, {np.nan})
        order = float(next(iter(orders))) if len(orders) == 1 else np.nan
        if quantity in self._found.placed:
            return self._found.placed[quantity][0].expected(kind, self.dimension, order)
        return order if kind == "density" else -0.5

    def tables(self) -> dict[str, dict]:
        """Return runs, fits and sweeps as tables by name."""
        found = {"runs": self.table, "fits": named.Table(self.fits)}
        for kind in self.kinds:
            found |= {f"{kind}_{name}": self.sweep(kind, name) for name in self.quantities}
        return {name: table for name, table in found.items() if len(table)}

    def save(self, path) -> None:
        """Write runs, fits and sweeps to an ``.h5`` file, or the runs alone to a ``.csv``."""
        named.save(path, self.tables(), {"reference": self.reference, "time": self.time})

    def plot(self, path=None):
        """Draw every distance against the size, with the expected rate; see `wgf.plot`."""
        from wgf import plot

        return plot.study(self, path)

    def __str__(self):
        lines = [f"against {self.reference} at t = {self.time:.4g}", *self.table.lines()]
        if self.fits:
            lines += ["", *named.Table(self._slopes(), SLOPES).lines()]
        return "\n".join(lines)

    def _slopes(self):
        """Yield the rows of the printed table of slopes."""
        fits = {(each["quantity"], each["kind"]): each for each in self.fits}
        for quantity in dict.fromkeys(each["quantity"] for each in self.fits):
            row = dict.fromkeys(SLOPES, "")
            row["quantity"] = quantity
            for kind in ("density", "particles"):
                each = fits.get((quantity, kind))
                if each is not None:
                    row[kind] = f"{each['slope']:.2f}"
                if each is not None and np.isfinite(each["expected"]):
                    row[f"{kind}_expected"] = f"({each['expected']:.2f})"
            yield row


SLOPES = {
    "quantity": "slope of",
    "density": "density in h",
    "density_expected": "(expected)",
    "particles": "particles in m",
    "particles_expected": "(expected)",
}


def particle_rate(quantity: str, dimension: int) -> float:
    """Return the exponent of m in the error of independent particles."""
    known = {each.name: each for each in (standard.W1, standard.MMD, standard.ENERGY)}
    return known[quantity].expected("particles", dimension) if quantity in known else -0.5


def _order(method):
    """Read the order in h off the words that describe a method; NaN if they do not say it."""
    if method.startswith("KineticFiniteVolume"):
        return 2
    found = re.search(r"order=(\d)", method)
    return int(found[1]) if found else np.nan


def _label(run, k):
    path = getattr(run, "path", None)
    return f"run {k}" if path is None else str(path)
