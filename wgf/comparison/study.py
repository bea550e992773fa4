"""Convergence studies: several runs against a reference, fitted rates, tables, figures."""

import math
import re

import numpy as np

from wgf import checks
from wgf.comparison.pair import (
    FORMS,
    axes_of,
    common_times,
    length_of,
    marginal,
    objective_at,
    period_of,
)
from wgf.distances.discrepancy import default_width, energy_distance, mmd
from wgf.distances.marginals import wasserstein_1
from wgf.distances.transport import available, wasserstein
from wgf.measures.density import Density
from wgf.measures.signed import flat_distance, is_signed, is_unbalanced
from wgf.record.solution import in_phase_space

LIMIT = 2000
# sums over pairs of pieces cost far less than transport between them
ENERGY_LIMIT = 4000
TEXTS = ("run", "kind")
MEASURED = ("objective_gap", "output_rms", "w1", "energy", "mmd")


class Study:
    """Runs compared with a reference at the last time that all of them share.

    Attributes
    ----------
    time : float
    table : dict of arrays
        One row a run: ``run``, ``kind`` (density or particles), ``size`` (cell width h, the
        geometric mean over the axes, or number of particles m), ``count`` (cells or particles),
        ``objective``, ``objective_gap`` (relative), ``mass``, ``output_rms``, ``w1_<axis>`` of the
        marginals, ``w1`` of the measures with ``w1_bound`` (see `wgf.wasserstein`; absent in
        several dimensions without POT), ``energy`` and ``mmd`` (with the reference's standard
        deviations as widths). For unbalanced flows ``flat_<position>`` stands in place of these
        distances, see `wgf.comparison.Comparison`.
    fits : list of dict
        For every kind and quantity with at least two sizes: ``kind``, ``quantity``, ``slope`` of
        the logarithm of the mean against that of the size, ``expected``, ``sizes``. Means of
        ``w1`` below half their bound, which the pieces do not resolve, are left out.

    Notes
    -----
    Expected rates: densities fall like the order of their method in h where the solution is
    smooth. Independent particles fall like ``m^(-1/2)`` in the maximum mean discrepancy, the
    energy distance, the model output and in W1 of marginals; W1 of the measures like ``m^(-1/2)``
    in one dimension and up to a logarithm in two, like ``m^(-1/d)`` beyond. No curve falls below
    the distance of the reference from the limit.
    """

    def __init__(self, reference, runs, limit=LIMIT):
        checks.whole("compare limit", limit, minimum=1)
        reference, *runs = (in_phase_space(run) for run in (reference, *runs))
        self.names = axes_of(reference, *runs)
        self.time = _last_common_time([reference, *runs])
        self.limit = limit
        self.unbalanced = any(is_unbalanced(run) for run in (reference, *runs))
        target = _at(reference, self.time)
        self.reference = f"{_label(reference, 0)} ({_describe(target)})"
        self.dimension = len(self.names)
        self.orders = {}
        rows = [self._row(reference, target, run, k) for k, run in enumerate(runs, 1)]
        self.table = {name: np.array([row.get(name, np.nan) for row in rows]) for name in rows[0]}
        self.quantities = [
            name
            for name in self.table
            if name in MEASURED or (name.startswith(("w1_", "flat_")) and name != "w1_bound")
        ]
        self.fits = [
            fit
            for kind in dict.fromkeys(self.table["kind"])
            for name in self.quantities
            if (fit := self._fit(str(kind), name)) is not None
        ]

    def _row(self, reference, target, run, k):
        measure = _at(run, self.time)
        kind = "density" if isinstance(measure, Density) else "particles"
        density = kind == "density"
        count = measure.mesh.cells if density else len(measure.points)
        size = math.prod(measure.mesh.spacing) ** (1 / self.dimension) if density else count
        fa, fb = objective_at(reference, self.time), objective_at(run, self.time)
        row = {"run": _label(run, k), "kind": kind, "size": float(size), "count": count}
        row["objective"] = fb
        row["objective_gap"] = abs(fa - fb) / max(abs(fa), abs(fb), 1e-300)
        row["mass"] = measure.mass
        if density:
            self.orders.setdefault(kind, set()).add(_order(run.problem.get("method", "")))
        if reference.outputs is not None and run.outputs is not None:
            i, j = _index(reference, self.time), _index(run, self.time)
            row["output_rms"] = float(
                np.sqrt(np.mean((reference.outputs[i] - run.outputs[j]) ** 2))
            )
        row |= self._flat(target, measure) if self.unbalanced else self._balanced(target, measure)
        return row

    def _balanced(self, target, measure):
        row = {}
        for i, name in enumerate(self.names):
            period = period_of(target, measure, i)
            row[f"w1_{name}"] = wasserstein_1(marginal(target, i), marginal(measure, i), period)
        if self.dimension == 1 or available():
            row["w1"], row["w1_bound"] = wasserstein(target, measure, 1, self.limit)
        row["energy"] = energy_distance(target, measure, max(self.limit, ENERGY_LIMIT))
        row["mmd"] = mmd(target, measure, default_width(target))
        return row

    def _flat(self, target, measure):
        """Return the flat norms along the axes of positions, see `wgf.comparison.Comparison`."""
        return {
            f"flat_{name}": flat_distance(
                target,
                measure,
                i,
                0.1 * length_of(target, measure, i),
                period_of(target, measure, i),
            )
            for i, name in enumerate(self.names)
            if i or not is_signed(target)
        }

    def sweep(self, kind, quantity):
        """Return `summarise` of one quantity over the runs of one kind."""
        chosen = self.table["kind"] == kind
        return summarise(self.table["size"][chosen], self.table[quantity][chosen])

    def _fit(self, kind, quantity):
        sweep = self.sweep(kind, quantity)
        sizes, means = sweep["size"], sweep["mean"]
        if quantity == "w1" and "w1_bound" in self.table:
            resolved = means > 0.5 * self.sweep(kind, "w1_bound")["mean"]
            sizes, means = sizes[resolved], means[resolved]
        found = slope(sizes, means)
        if found is None:
            return None
        expected = self.expected(kind, quantity)
        return {
            "kind": kind,
            "quantity": quantity,
            "slope": found,
            "expected": expected,
            "sizes": len(sizes),
        }

    def expected(self, kind, quantity):
        """Return the expected slope in h or m, NaN where none is known."""
        if kind == "density":
            orders = self.orders.get(kind, {np.nan})
            return float(next(iter(orders))) if len(orders) == 1 else np.nan
        return particle_rate(quantity, self.dimension)

    def tables(self):
        """Return runs, sweeps and fits as named tables for `wgf.tables.write`."""
        found = {("runs",): self.table}
        fits = {name: np.array([fit[name] for fit in self.fits]) for name in _keys(self.fits)}
        if fits:
            found[("fits",)] = fits
        for kind in dict.fromkeys(self.table["kind"]):
            for name in self.quantities:
                found[(f"{kind}_{name}",)] = self.sweep(kind, name)
        return found

    def save(self, path):
        """Write runs, fits and sweeps to an ``.h5`` file, or the runs alone to a ``.csv``."""
        from wgf.record import tables

        found = self.tables()
        if tables.check_path(path).suffix == ".csv":
            found = {(): self.table}
        tables.write(path, found, {"reference": self.reference, "time": self.time})

    def plot(self, path=None):
        """Draw every distance against the size, with the expected rate; see `wgf.plot`."""
        from wgf import plot

        return plot.study(self, path)

    def __str__(self):
        heads = [name for name in self.table if name not in ("size", "mass", "count")]
        columns = [_column(name, self.table[name]) for name in heads]
        columns.insert(2, _column("h or m", self.table["size"]))
        lines = [f"against {self.reference} at t = {self.time:.4g}"]
        lines += ["  ".join(row) for row in zip(*columns)]
        if self.fits:
            lines.append("")
            lines.append(
                "slope of             density in h   (expected)   particles in m   (expected)"
            )
        for name in self.quantities:
            cells = []
            for kind in ("density", "particles"):
                fit = next(
                    (f for f in self.fits if f["kind"] == kind and f["quantity"] == name), None
                )
                known = fit is not None and np.isfinite(fit["expected"])
                cells.append(f"{fit['slope']:.2f}" if fit else "")
                cells.append(f"({fit['expected']:.2f})" if known else "")
            if any(cells):
                lines.append(
                    f"{name:<20} {cells[0]:>12} {cells[1]:>12} {cells[2]:>16} {cells[3]:>12}"
                )
        return "\n".join(line.rstrip() for line in lines)


def summarise(sizes, values):
    """Return sizes, means over the repeats of each, and their 95 % confidence band.

    Means are geometric, as slopes are taken of logarithms; a zero among the repeats makes them
    arithmetic. The band is Student's for independent repeats, without width where there is one.

    Returns
    -------
    dict of arrays
        ``size`` increasing, ``mean``, ``low``, ``high``, ``repeats``.
    """
    from scipy.special import stdtrit

    sizes, values = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    found = {name: [] for name in ("size", "mean", "low", "high", "repeats")}
    for size in _distinct(sizes):
        held = values[np.isclose(sizes, size, rtol=1e-9)]
        n, positive = len(held), bool((held > 0).all())
        held = np.log(held) if positive else held
        half = stdtrit(n - 1, 0.975) * held.std(ddof=1) / np.sqrt(n) if n > 1 else 0.0
        band = np.array([held.mean(), held.mean() - half, held.mean() + half])
        band = np.exp(band) if positive else np.maximum(band, 0.0)
        for name, value in zip(found, (size, *band, n)):
            found[name].append(value)
    return {name: np.array(column) for name, column in found.items()}


def _distinct(sizes):
    kept = []
    for size in np.sort(sizes):
        if not kept or not np.isclose(size, kept[-1], rtol=1e-9):
            kept.append(size)
    return kept


def slope(sizes, means):
    """Return the slope of ``log mean`` against ``log size``, None without two positive points."""
    sizes, means = np.asarray(sizes, dtype=float), np.asarray(means, dtype=float)
    good = (means > 0) & np.isfinite(means)
    if good.sum() < 2:
        return None
    return float(np.polyfit(np.log(sizes[good]), np.log(means[good]), 1)[0])


def particle_rate(quantity, dimension):
    """Return the exponent of m in the error of independent particles."""
    if quantity == "w1":
        return -1 / max(dimension, 2)
    return -0.5


def _keys(fits):
    return list(fits[0]) if fits else []


def _order(method):
    """Read the order in h off the words that describe a method; NaN if they do not tell."""
    if method.startswith("KineticFiniteVolume"):
        return 2
    found = re.search(r"order=(\d)", method)
    return int(found[1]) if found else np.nan


def _label(run, k):
    path = getattr(run, "path", None)
    return f"run {k}" if path is None else str(path)


def _describe(measure):
    if isinstance(measure, Density):
        return f"{' x '.join(map(str, measure.mesh.shape))} cells"
    return f"{len(measure.points)} particles"


def _last_common_time(runs):
    times = np.asarray(runs[0].times)
    for run in runs[1:]:
        times = times[[i for i, _ in common_times(times, run.times)]]
    return float(times[-1])


def _index(run, time):
    return int(np.argmin(np.abs(np.asarray(run.times) - time)))


def _at(run, time):
    return run.snapshots[_index(run, time)]


def _column(name, values):
    form = FORMS.get(name, "{}" if name in TEXTS else "{:.3g}")
    form = "{:.6f}" if name == "objective" else form
    cells = [form.format(value) for value in values]
    width = max(len(name), *map(len, cells))
    align = str.ljust if name in TEXTS else str.rjust
    return [align(name, width), *(align(cell, width) for cell in cells)]
