"""Comparison of two runs: distances of the marginals, objectives and model outputs over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from wgf.comparison import table as named
from wgf.comparison.common import SAME_MASS, Runs, joined, output_gap
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
        (relative difference), ``<part>_a`` and ``<part>_b`` for parts that one run lacks and that
        the objectives here leave out, ``mass_a``, ``mass_b``, ``output_rms`` (root mean square of
        the difference of the model outputs) and, for every axis, ``w1_<axis>`` and ``w2_<axis>``:
        the Wasserstein distances of the marginals normalised to mass 1, in units of the axis, where
        a cell is uniform mass; with momentum the velocities ``v_<axis>`` are axes, too. For
        unbalanced flows, whose masses differ and may have a sign, ``flat_<position>`` instead: the
        flat norm of the difference of the (signed) marginals, where moving mass by a tenth of the
        axis costs as much as creating it; see `wgf.flat_distance`.
    notes : list of str
        What differs beside the measures (parts of the objective, flows, masses), and the floors of
        distances at the last common time.
    """

    def __init__(
        self, a: Any, b: Any, limit: int = standard.LIMIT, distances: Sequence | None = None
    ):
        self._found = found = Runs((a, b), distances, standard.PAIR)
        self.a, self.b = found.runs
        self.limit, self.names, self.unbalanced = limit, found.names, found.unbalanced
        kinds = [run.snapshots[0].kind for run in found.runs]
        alike = kinds[0] == kinds[1]
        self.labels = tuple(f"{k} {i}" if alike else k for i, k in enumerate(kinds, 1))
        self._shown = {c: place for c, place in found.placed.items() if not place[0].at_end}
        heads = {"objective_gap": "difference", "output_rms": "output rms"}
        for side, label in zip("ab", self.labels):
            heads |= {f"objective_{side}": f"F {label}", f"mass_{side}": f"mass {label}"}
            heads |= {f"{part}_{side}": f"{part} {label}" for part in found.partial}
        heads |= found.words(standard.Distance.head)
        self.table = named.Table(map(self._row, found.times), heads, form="{:.2e}")
        masses = self.table["mass_a"], self.table["mass_b"]
        if not self.unbalanced and np.allclose(*masses, rtol=SAME_MASS, atol=0):
            self.table.hidden = frozenset(("mass_a", "mass_b"))
        # a figure has room for one distance
        for column, (distance, k) in self._shown.items():
            if distance is next(iter(self._shown.values()))[0] and column in self.table:
                self.table.curves[column] = "" if k is None else f"along {self.names[k]}"
                self.table.ylabel = distance.ylabel or distance.head()
        ends = found.states(found.times[-1])
        self.notes = found.notes(ends, self.labels)
        floors = standard.floors(self._shown, *(state.measure for state in ends))
        if floors:
            told = ", ".join(f"{heads[column]} {floor:.3g}" for column, floor in floors.items())
            self.notes.append(f"floor of cells against points at their centres: {told}")

    def _row(self, time):
        a, b = self._found.states(time)
        row = {"t": time, "objective_a": a.objective, "objective_b": b.objective}
        row["objective_gap"] = self._found.objective_gap(a, b)
        for part in self._found.partial:
            row |= {f"{part}_a": a.parts[part], f"{part}_b": b.parts[part]}
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
        first, second = (state.measure for state in self._found.states(self._found.times[-1]))
        return standard.measured(whole, first, second, self.limit if limit is None else limit)

    def sentence(self) -> str:
        """Return `at_end` in words; empty if there is no distance of whole measures."""
        return sentence(self.at_end(), self._found.times[-1], self._found.placed)

    def plot(self, path: Any = None) -> Any:
        """Draw objectives, densities with particles, fits and distances; see `wgf.plot`."""
        from wgf import plot

        return plot.comparison(self.a, self.b, self.labels, self.table, path)

    def save(self, path: Any) -> None:
        """Write the table to a ``.csv`` or an ``.h5`` file."""
        named.save(path, {"comparison": self.table}, dict(zip("ab", self.labels)))

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return self.table.html(ROWS) + notes

    def __str__(self):
        lines = self.table.lines(ROWS)
        shown = len(lines) - 1
        meanings: dict[str, dict[str, None]] = {}
        for column, (distance, _) in self._shown.items():
            if column in self.table and distance.meaning:
                text = ", ".join(filter(None, (distance.meaning, distance.unit)))
                meanings.setdefault(text, {})[distance.head()] = None
        parts = ["F: objective", "difference: relative", "output rms: of the model outputs"]
        parts += [f"{', '.join(heads)}: {text}" for text, heads in meanings.items()]
        lines += ["; ".join(parts), *self.notes]
        if shown < self.table.length:
            lines.append(
                f"{shown} of {self.table.length} times, the table itself (--data FILE) has all"
            )
        return "\n".join(lines)


def sentence(found: Mapping[str, float], time: float, placed: standard.Placed | None = None) -> str:
    """Return `Comparison.at_end` in words; empty if nothing was found."""
    placed = placed or standard.columns(standard.PAIR, ())
    parts = []
    for name, value in found.items():
        if name in placed:
            bound = found.get(f"{name}_bound", 0.0)
            tail = f" ± {bound:.1g}" if bound else ""
            parts.append(f"{placed[name][0].head()} {value:.3g}{tail}")
    return f"whole measures at t = {time:.4g}: {', '.join(parts)}" if parts else ""
