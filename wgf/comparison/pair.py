"""Comparison of two runs: distances of the marginals, objectives and model outputs over time."""

from __future__ import annotations

from wgf.comparison import table as named
from wgf.comparison.common import Runs, State, joined, objective_gap, output_gap
from wgf.distances import standard

# a printed table has at most so many rows
ROWS = 21


class Comparison:
    """Two runs at their common times; see `wgf.compare`.

    Attributes
    ----------
    labels : (str, str)
        What the two runs are: ``density``, ``particles``, or with a number if both are the same.
    table : Table
        One row per common time: ``t``, ``objective_a``, ``objective_b``, ``objective_gap``
        (relative difference), ``mass_a``, ``mass_b``, ``output_rms`` (root mean square of the
        difference of the model outputs) and, for every axis, ``w1_<axis>`` and ``w2_<axis>``: the
        Wasserstein distances of the marginals normalised to mass 1, in units of the axis, where a
        cell is uniform mass; with momentum the velocities ``v_<axis>`` are axes, too. For
        unbalanced flows, whose masses differ and may have a sign, ``flat_<position>`` instead: the
        flat norm of the difference of the (signed) marginals, where moving mass by a tenth of the
        axis costs as much as creating it; see `wgf.flat_distance`.
    """

    def __init__(self, a, b, limit: int = standard.LIMIT, distances=None):
        self.limit = limit
        self._found = found = Runs((a, b), distances, standard.PAIR)
        self.a, self.b = found.runs
        self.names, self.unbalanced = found.names, found.unbalanced
        kinds = [run.snapshots[0].kind for run in found.runs]
        alike = kinds[0] == kinds[1]
        self.labels = tuple(f"{k} {i}" if alike else k for i, k in enumerate(kinds, 1))
        self._shown = {c: place for c, place in found.placed.items() if not place[0].at_end}
        first, second = self.labels
        heads = {
            "objective_a": f"F {first}",
            "objective_b": f"F {second}",
            "objective_gap": "difference",
            "mass_a": f"mass {first}",
            "mass_b": f"mass {second}",
            "output_rms": "output rms",
            **found.words(standard.Distance.head),
        }
        hidden = () if self.unbalanced else ("mass_a", "mass_b")
        self.table = named.Table(map(self._row, found.times), heads, hidden, "{:.2e}")
        # a figure has room for one distance
        for column, (distance, k) in self._shown.items():
            if distance is next(iter(self._shown.values()))[0] and column in self.table:
                self.table.curves[column] = "" if k is None else f"along {self.names[k]}"
                self.table.ylabel = distance.ylabel or distance.head()

    def _row(self, time):
        a, b = State(self.a, time), State(self.b, time)
        row = {"t": time, "objective_a": a.objective, "objective_b": b.objective}
        row["objective_gap"] = objective_gap(a, b)
        row |= {"mass_a": a.measure.mass, "mass_b": b.measure.mass, **output_gap(a, b)}
        return joined(row, standard.measured(self._shown, a.measure, b.measure, self.limit))

    def at_end(self, limit: int | None = None) -> dict[str, float]:
        """Return the distances of the whole measures at the last common time.

        Parameters
        ----------
        limit : int, optional
            Largest number of pieces in the transport, see `wgf.wasserstein`; by default that of
            the comparison.

        Returns
        -------
        dict
            ``w1`` and ``w2`` with their bounds ``w1_bound`` and ``w2_bound`` (not in several
            dimensions without POT), ``energy`` and ``mmd``, see `wgf.energy_distance` and
            `wgf.mmd`. Measures are normalised to mass 1; empty for unbalanced flows.
        """
        whole = {c: place for c, place in self._found.placed.items() if place[1] is None}
        first, second = (State(run, self._found.times[-1]).measure for run in self._found.runs)
        return standard.measured(whole, first, second, self.limit if limit is None else limit)

    def sentence(self) -> str:
        """Return `at_end` in words; empty if there is no distance of whole measures."""
        return sentence(self.at_end(), self._found.times[-1], self._found.placed)

    def plot(self, path=None):
        """Draw objectives, densities with particles, fits and distances; see `wgf.plot`."""
        from wgf import plot

        return plot.comparison(self.a, self.b, self.labels, self.table, path)

    def save(self, path) -> None:
        """Write the table to a ``.csv`` or an ``.h5`` file."""
        named.save(path, {"comparison": self.table}, dict(zip("ab", self.labels)))

    def __str__(self):
        lines = self.table.lines(ROWS)
        meanings: dict[str, list[str]] = {}
        for column, (distance, _) in self._shown.items():
            if column in self.table and distance.meaning:
                text = ", ".join(filter(None, (distance.meaning, distance.unit)))
                meanings.setdefault(text, [])
                meanings[text] += [h for h in [distance.head()] if h not in meanings[text]]
        notes = ["F: objective", "difference: relative", "output rms: of the model outputs"]
        notes += [f"{', '.join(heads)}: {text}" for text, heads in meanings.items()]
        lines.append("; ".join(notes))
        if len(lines) - 2 < self.table.length:
            lines.append(
                f"{len(lines) - 2} of {self.table.length} times, the table itself (--data FILE) "
                "has all"
            )
        return "\n".join(lines)


def sentence(found, time: float, placed=None) -> str:
    """Return `Comparison.at_end` in words; empty if nothing was found."""
    placed = placed or standard.columns(standard.PAIR, ())
    parts = []
    for name, value in found.items():
        if name in placed:
            bound = found.get(f"{name}_bound", 0.0)
            parts.append(
                f"{placed[name][0].head()} {value:.3g}" + (f" ± {bound:.1g}" if bound else "")
            )
    return f"whole measures at t = {time:.4g}: {', '.join(parts)}" if parts else ""
