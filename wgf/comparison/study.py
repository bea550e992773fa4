"""Convergence studies: several runs against a reference, fitted rates, tables, figures."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from wgf.comparison import table as named
from wgf.comparison.common import Runs, joined, output_gap
from wgf.comparison.statistics import INTERVALS, fit, slope, success, summarise
from wgf.distances import standard

__all__ = ["Study", "particle_rate", "slope", "summarise"]

# gaps of runs, as Distance is of measures, with the titles of their panels
LETTERS = {"density": "h", "particles": "m"}
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
        the logarithm of the mean against that of the size, its standard ``error`` and 95 %
        interval ``low``, ``high`` (NaN for two runs, which leave nothing to estimate them),
        ``expected``, ``sizes`` and ``runs`` that entered. Means at a limit of accuracy do not
        enter, see `left_out`.
    left_out : dict
        Reasons why sizes do not enter a fit, by kind, quantity and size: half the bound of the
        pieces, twice a floor, or half of the largest possible value.
    notes : list of str
        What readers must know beside the numbers.

    Notes
    -----
    Expected rates: the distance of a density falls with the order of its method in h where the
    solution is smooth. For independent particles the maximum mean discrepancy, the energy
    distance, the model output and W1 of marginals fall like ``m^(-1/2)``; W1 of the measures like
    ``m^(-1/2)`` in one dimension and up to a logarithm in two, like ``m^(-1/d)`` beyond. No curve
    falls below the distance of the reference from the limit.
    """

    def __init__(
        self,
        reference: Any,
        runs: Sequence,
        limit: int = standard.LIMIT,
        distances: Sequence | None = None,
    ):
        self._found = found = Runs((reference, *runs), distances, standard.STUDY)
        self.limit, self.names, self.unbalanced = limit, found.names, found.unbalanced
        self.time, self.dimension = found.times[-1], len(found.names)
        states = found.states(self.time)
        self._target, labels = states[0], [_label(run, k) for k, run in enumerate(found.runs)]
        self.reference = f"{labels[0]} ({self._target.measure.extent})"
        self.orders: dict[str, set] = {}
        for state, run in zip(states[1:], found.runs[1:]):
            if state.measure.kind == "density":
                self.orders.setdefault("density", set()).add(_order(run.problem.get("method", "")))
        rows = [self._row(state, label) for state, label in zip(states[1:], labels[1:])]
        self.notes = found.notes(states, labels)
        alike = not any(note.startswith("the masses") for note in self.notes)
        hidden = ("mass", "count") if alike else ("count",)
        self.table = named.Table(rows, {"size": "h or m"}, hidden)
        self.kinds = [str(kind) for kind in dict.fromkeys(self.table["kind"])]
        self.quantities = [name for name in self.table if name in GAPS or name in found.placed]
        titles = GAPS | found.words(standard.Distance.panel)
        self.titles = {name: titles[name] for name in self.quantities if titles[name] is not None}
        self.left_out: dict[tuple[str, str], dict[float, str]] = {}
        fits = [self._fit(kind, name) for kind in self.kinds for name in self.quantities]
        self.fits = [each for each in fits if each is not None]
        self.notes += self._limits()

    def _row(self, state, label):
        measure = state.measure
        row = {"run": label, "kind": measure.kind, "size": float(measure.resolution)}
        row |= {"count": measure.size, "objective": state.objective}
        row |= {"objective_gap": self._found.objective_gap(self._target, state), **state.parts}
        row |= {"mass": measure.mass, **output_gap(self._target, state)}
        placed, target = self._found.placed, self._target.measure
        floors = standard.floors(placed, target, measure)
        found = standard.measured(placed, target, measure, self.limit)
        return joined(row, found | {f"{name}_floor": floor for name, floor in floors.items()})

    def _of(self, kind, quantity):
        chosen = self.table["kind"] == kind
        return self.table["size"][chosen], self.table[quantity][chosen]

    def sweep(
        self, kind: str, quantity: str, statistic: str = "mean", interval: str = "t"
    ) -> dict[str, np.ndarray]:
        """Return `summarise` of one quantity over the runs of one kind."""
        return summarise(*self._of(kind, quantity), statistic, interval)

    def success(self, kind: str, quantity: str, below: float) -> dict[str, np.ndarray]:
        """Return the rate of runs of one kind with a quantity below a level, for each size."""
        return success(*self._of(kind, quantity), below)

    def _fit(self, kind, quantity):
        reasons = self._reasons(kind, quantity)
        sizes, values = self._of(kind, quantity)
        kept = np.array([not np.isclose(size, list(reasons), rtol=1e-9).any() for size in sizes])
        if reasons:
            self.left_out[kind, quantity] = reasons
        found = fit(sizes[kept], values[kept])
        if found is None:
            return None
        row = {"kind": kind, "quantity": quantity, "expected": self.expected(kind, quantity)}
        return row | dataclasses.asdict(found)

    def _reasons(self, kind, quantity):
        """Return why means at a limit of accuracy do not enter a fit, by their size."""
        sweep, found = self.sweep(kind, quantity), {}
        distance = self._found.placed.get(quantity, (None,))[0]
        limits = [
            (f"{quantity}_bound", 0.5, "half the bound of the pieces"),
            (f"{quantity}_floor", 2.0, "twice the floor"),
        ]
        for name, factor, reason in limits:
            if name in self.table:
                low = factor * self.sweep(kind, name)["mean"]
                below = (low > 0) & (sweep["mean"] <= low)
                found |= {float(s): f"below {reason}" for s in sweep["size"][below]}
        if distance is not None:
            high = sweep["mean"] > 0.5 * distance.top
            found |= {float(s): "above half of the largest value" for s in sweep["size"][high]}
        return found

    def _limits(self):
        """Return in words what the fits leave out, and what they cannot give."""
        grouped: dict[tuple, list] = {}
        for (kind, quantity), reasons in self.left_out.items():
            for size, reason in reasons.items():
                grouped.setdefault((kind, quantity, reason), []).append(f"{size:.4g}")
        found = [
            f"not fitted, {reason}: {quantity} of {kind} at {LETTERS[kind]} = {', '.join(sizes)}"
            for (kind, quantity, reason), sizes in grouped.items()
        ]
        for kind in self.kinds:
            mine = [each for each in self.fits if each["kind"] == kind]
            bare = [each["quantity"] for each in mine if not np.isfinite(each["error"])]
            if bare:
                found.append(
                    f"two runs give a slope without an error, add sizes or repeats: {kind}, "
                    f"{', '.join(bare)}"
                )
            near = self._too_near(kind)
            if mine and near:
                found.append(
                    f"the reference is not twice as fine as {kind} at {LETTERS[kind]} = "
                    f"{', '.join(near)}: its own error enters these distances and slopes"
                )
        if any(each["runs"] > each["sizes"] for each in self.fits):
            found.append(
                "means: geometric over the runs of a size, with 95 % intervals by "
                f"{INTERVALS['mean', 't']}"
            )
        return found

    def _too_near(self, kind):
        target = self._target.measure
        if target.kind != kind:
            return []
        sizes = self.sweep(kind, "objective_gap")["size"]
        ratio = sizes / target.resolution
        near = ratio < 2 * (1 - 1e-9) if kind == "density" else ratio > 0.5 * (1 + 1e-9)
        return [f"{size:.4g}" for size in sizes[near]]

    def expected(self, kind: str, quantity: str) -> float:
        """Return the expected slope in h or m, NaN where none is known."""
        orders = self.orders.get(kind, {np.nan})
        order = float(next(iter(orders))) if len(orders) == 1 else np.nan
        if quantity in self._found.placed:
            return self._found.placed[quantity][0].expected(kind, self.dimension, order)
        return order if kind == "density" else -0.5

    def tables(self) -> dict[str, Mapping]:
        """Return runs, fits and sweeps as tables by name; ``fitted`` is 1 for sizes in a fit."""
        found = {"runs": self.table, "fits": named.Table(self.fits)}
        for kind in self.kinds:
            for name in self.quantities:
                sweep = self.sweep(kind, name)
                out = list(self.left_out.get((kind, name), ()))
                fitted = ~np.isin(sweep["size"], out) & (sweep["mean"] > 0)
                found[f"{kind}_{name}"] = sweep | {"fitted": fitted.astype(int)}
        return {name: table for name, table in found.items() if len(table)}

    def save(self, path: Any) -> None:
        """Write runs, fits and sweeps to an ``.h5`` file, or the runs alone to a ``.csv``."""
        attributes = {"reference": self.reference, "time": self.time}
        named.save(path, self.tables(), attributes | {"notes": "\n".join(self.notes)})

    def plot(self, path: Any = None) -> Any:
        """Draw every distance against the size, with the expected rate; see `wgf.plot`."""
        from wgf import plot

        return plot.study(self, path)

    def __str__(self):
        lines = [f"against {self.reference} at t = {self.time:.4g}", *self.table.lines()]
        if self.fits:
            lines += ["", *named.Table(self._slopes(), SLOPES).lines()]
        return "\n".join([*lines, *([""] if self.notes else []), *self.notes])

    def _repr_html_(self) -> str:
        head = f"<p>against {escape(self.reference)} at t = {self.time:.4g}</p>"
        slopes = named.Table(self._slopes(), SLOPES).html() if self.fits else ""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return head + self.table.html() + slopes + notes

    def _slopes(self):
        """Yield the rows of the printed table of slopes."""
        fits = {(each["quantity"], each["kind"]): each for each in self.fits}
        for quantity in dict.fromkeys(each["quantity"] for each in self.fits):
            row = dict.fromkeys(SLOPES, "")
            row["quantity"] = quantity
            for kind in ("density", "particles"):
                each = fits.get((quantity, kind))
                if each is not None:
                    # an error that rounds to 0, as of an exact rate, is not printed
                    error = f"{each['error']:.2f}" if np.isfinite(each["error"]) else "?"
                    row[kind] = f"{each['slope']:.2f}" + (f" ± {error}" if error != "0.00" else "")
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
