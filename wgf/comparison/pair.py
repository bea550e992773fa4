"""Comparison of two runs: distances of the marginals, objectives and model outputs over time."""

import numpy as np

from wgf import checks
from wgf.distances.marginals import wasserstein_1, wasserstein_2
from wgf.measures.density import Density
from wgf.measures.signed import flat_distance, is_signed, is_unbalanced
from wgf.record.solution import in_phase_space

# a printed table has at most so many rows
ROWS = 21
FORMS = {"t": "{:.4g}", "objective_a": "{:.6f}", "objective_b": "{:.6f}"}


def compare(a, b, *more, limit=None):
    """Compare two runs of the same flow at their common times, or several with the first.

    Parameters
    ----------
    a, b : Solution or stored run
        Each of densities or of particles, along the same axes.
    *more : Solution or stored run
        With three runs or more the first is the reference of a convergence study of the others.
    limit : int, optional
        Of the pieces in the transport of a study, see `wgf.wasserstein`; default 2000.

    Returns
    -------
    Comparison or wgf.comparison.study.Study

    Raises
    ------
    InputError
        For runs along different axes or without a common time.
    """
    named = [("a", a), ("b", b), *((str(k), run) for k, run in enumerate(more, 3))]
    for what, run in named:
        if not hasattr(run, "snapshots") or not hasattr(run, "diagnostics"):
            raise checks.InputTypeError(
                f"compare {what}: {type(run).__name__} is no run, give what wgf.solve or "
                "wgf.open_run returned"
            )
    if more:
        from wgf.comparison.study import LIMIT, Study

        return Study(a, (b, *more), LIMIT if limit is None else limit)
    return Comparison(a, b)


class Comparison:
    """What `compare` found.

    Attributes
    ----------
    labels : (str, str)
        What the two runs are: ``density``, ``particles``, or with a number if both are the same.
    table : dict of arrays
        One row a common time: ``t``, ``objective_a``, ``objective_b``, ``objective_gap`` (relative
        difference), ``mass_a``, ``mass_b``, ``output_rms`` (root mean square of the difference of
        the model outputs) and, for every axis, ``w1_<axis>`` and ``w2_<axis>``: the Wasserstein
        distances of the marginals normalised to mass 1, in units of the axis, a cell being uniform
        mass; with momentum the velocities ``v_<axis>`` are axes, too. For unbalanced flows, whose
        masses differ and may have a sign, ``flat_<position>`` instead: the flat norm of the
        difference of the (signed) marginals, moving mass by a tenth of the axis costing as much
        as creating it; see `wgf.flat_distance`.
    """

    def __init__(self, a, b):
        self.a, self.b = a, b = in_phase_space(a), in_phase_space(b)
        self.names = axes_of(a, b)
        kinds = [
            "density" if isinstance(run.snapshots[0], Density) else "particles" for run in (a, b)
        ]
        self.labels = tuple(
            kinds if kinds[0] != kinds[1] else [f"{k} {i + 1}" for i, k in enumerate(kinds)]
        )
        self.unbalanced = is_unbalanced(a) or is_unbalanced(b)
        times = common_times(a.times, b.times)
        rows = [self._row(i, j) for i, j in times]
        self.table = {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _row(self, i, j):
        first, second = self.a.snapshots[i], self.b.snapshots[j]
        time = float(self.a.times[i])
        fa, fb = objective_at(self.a, time), objective_at(self.b, time)
        scale = max(abs(fa), abs(fb), 1e-300)
        row = {"t": time, "objective_a": fa, "objective_b": fb}
        row.update(objective_gap=abs(fa - fb) / scale, mass_a=first.mass, mass_b=second.mass)
        if self.a.outputs is not None and self.b.outputs is not None:
            difference = self.a.outputs[i] - self.b.outputs[j]
            row["output_rms"] = float(np.sqrt(np.mean(difference**2)))
        for k, name in enumerate(self.names):
            period = period_of(first, second, k)
            if self.unbalanced:
                if k or not is_signed(first):
                    reach = 0.1 * length_of(first, second, k)
                    row[f"flat_{name}"] = flat_distance(first, second, k, reach, period)
                continue
            one, two = marginal(first, k), marginal(second, k)
            row[f"w1_{name}"] = wasserstein_1(one, two, period)
            row[f"w2_{name}"] = wasserstein_2(one, two, period)
        return row

    def at_end(self, limit=2000):
        """Return the distances of the whole measures at the last common time.

        Parameters
        ----------
        limit : int
            Of the pieces in the transport, see `wgf.wasserstein`.

        Returns
        -------
        dict
            ``w1`` and ``w2`` with their bounds ``w1_bound`` and ``w2_bound`` (not in several
            dimensions without POT), ``energy`` and ``mmd``, see `wgf.energy_distance` and
            `wgf.mmd`. Measures are normalised to mass 1; empty for unbalanced flows.
        """
        if self.unbalanced:
            return {}
        from wgf.distances.discrepancy import energy_distance, mmd
        from wgf.distances.transport import available, wasserstein

        i, j = common_times(self.a.times, self.b.times)[-1]
        first, second = self.a.snapshots[i], self.b.snapshots[j]
        found = {}
        if len(self.names) == 1 or available():
            for power in (1, 2):
                value, bound = wasserstein(first, second, power, limit)
                found |= {f"w{power}": value, f"w{power}_bound": bound}
        found["energy"] = energy_distance(first, second, limit)
        found["mmd"] = mmd(first, second)
        return found

    def plot(self, path=None):
        """Draw objectives, densities with particles, fits and distances; see `wgf.plot`."""
        from wgf import plot

        return plot.comparison(self.a, self.b, self.labels, self.table, path)

    def save(self, path):
        """Write the table to a ``.csv`` or an ``.h5`` file."""
        from wgf.record import tables

        name = () if tables.check_path(path).suffix == ".csv" else ("comparison",)
        tables.write(path, {name: self.table}, {"a": self.labels[0], "b": self.labels[1]})

    def __str__(self):
        first, second = self.labels
        heads = {"t": "t", "objective_a": f"F {first}", "objective_b": f"F {second}"}
        heads["objective_gap"] = "difference"
        heads["output_rms"] = "output rms"
        heads.update(mass_a=f"mass {first}", mass_b=f"mass {second}")
        total = len(self.table["t"])
        rows = np.unique(np.linspace(0, total - 1, ROWS).astype(int)) if total else slice(None)
        columns = []
        for name, values in self.table.items():
            if name in ("mass_a", "mass_b") and not self.unbalanced:
                continue
            head = heads.get(name) or "{}({})".format(
                *name.replace("w", "W", name[0] == "w").split("_", 1)
            )
            form = FORMS.get(name, "{:.2e}")
            cells = [form.format(value) for value in values[rows]]
            width = max(len(head), *map(len, cells))
            columns.append([head.rjust(width), *(cell.rjust(width) for cell in cells)])
        lines = ["  ".join(row) for row in zip(*columns)]
        distances = "W1, W2: of the marginals, in units of the axis"
        if self.unbalanced:
            distances = "flat: norm of the difference along an axis, a tenth of which is the reach"
        lines.append(
            f"F: objective; difference: relative; output rms: of the model outputs; {distances}"
        )
        if total > ROWS:
            lines.append(f"{len(rows)} of {total} times, the table itself (--data FILE) has all")
        return "\n".join(lines)


def _distance_head(name):
    kind, _, axis = name.partition("_")
    return f"{kind.upper() if kind in ('w1', 'w2') else kind}({axis})"


def sentence(found, time):
    """Return `Comparison.at_end` in words; empty if there is nothing to tell."""
    parts = []
    for name in ("w1", "w2"):
        if name in found:
            bound = found[f"{name}_bound"]
            parts.append(f"{name.upper()} {found[name]:.3g}" + (f" ± {bound:.1g}" if bound else ""))
    for name, word in (("energy", "energy distance"), ("mmd", "maximum mean discrepancy")):
        if name in found:
            parts.append(f"{word} {found[name]:.3g}")
    return f"whole measures at t = {time:.4g}: {', '.join(parts)}" if parts else ""


def axes_of(*runs):
    """Return the axis names that all runs share."""
    names = []
    for run in runs:
        measure = run.snapshots[0]
        found = measure.names or run.problem.get("axes")
        names.append(tuple(found or [f"x{i + 1}" for i in range(measure.points.shape[1])]))
    for other in names[1:]:
        if other != names[0]:
            raise checks.InputError(
                f"compare: the axes ({', '.join(names[0])}) and ({', '.join(other)}) differ, "
                "compare runs of the same problem, with momentum and without by "
                "wgf.projected(run, wgf.positions)"
            )
    return names[0]


def common_times(first, second):
    """Return the pairs of indices of the times that two runs share."""
    pairs = []
    for i, t in enumerate(first):
        near = np.flatnonzero(np.isclose(second, t, rtol=1e-9, atol=1e-12))
        if len(near):
            pairs.append((i, int(near[0])))
    if not pairs:
        raise checks.InputError(
            f"compare: no common time, the first run ends at t={first[-1]:g} and the second at "
            f"t={second[-1]:g}, run both with the same output times"
        )
    return pairs


def objective_at(run, time):
    """Return the objective of a run at a time."""
    row = int(np.argmin(np.abs(run.diagnostics["t"] - time)))
    return float(run.diagnostics["objective"][row])


def marginal(measure, k):
    """Return the marginal along axis `k`, also of particles without a domain."""
    if isinstance(measure, Density):
        return measure.marginal(measure.names[k])
    return type(measure)(measure.points[:, k : k + 1], measure.weights)


def period_of(first, second, k):
    """Return the period of axis `k`, None where there is none."""
    for measure in (first, second):
        if measure.domain is not None:
            axis = measure.domain.axes[k]
            return axis.length if axis.periodic else None
    return None


def length_of(first, second, k):
    """Return the length of axis `k`, of the points on it where there is no domain."""
    for measure in (first, second):
        if measure.domain is not None:
            return measure.domain.axes[k].length
    points = np.concatenate([first.points[:, k], second.points[:, k]])
    return max(float(np.ptp(points)), 1e-300)
