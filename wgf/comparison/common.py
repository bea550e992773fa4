"""What a comparison of two runs and a study of several have in common: axes, times, gaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wgf import checks
from wgf.distances import standard
from wgf.measures.base import Measure
from wgf.measures.signed import is_unbalanced
from wgf.record.solution import in_phase_space

# masses that differ by less are equal up to round-off and the tails beyond a box
SAME_MASS = 1e-6


class Runs:
    """Runs along the same axes, and the distances by which they are compared.

    Attributes
    ----------
    runs : list
        With velocities in phase space.
    names : tuple of str
        Names of the axes.
    times : list of float
        Times that all runs share.
    unbalanced : bool
        Whether one of them creates or destroys mass.
    shared, partial : tuple of str
        Parts of the objective that all runs report, and those that only some report: the entropy
        of a density has no counterpart for particles.
    placed : dict
        Distances and the numbers of their axes by column, see `wgf.distances.standard.columns`.
    """

    def __init__(self, runs: Sequence, distances: Sequence | None, default: Sequence):
        self.runs = [in_phase_space(run) for run in runs]
        self.names = axes_of(self.runs)
        self.times = common_times(self.runs)
        self.unbalanced = any(map(is_unbalanced, self.runs))
        if distances is None:
            distances = standard.UNBALANCED if self.unbalanced else default
        self.placed = standard.columns(distances, self.names)
        parts = [
            [name for name in run.problem.get("terms") or () if name in run.diagnostics]
            for run in self.runs
        ]
        every = dict.fromkeys(name for names in parts if all(parts) for name in names)
        self.shared = tuple(name for name in every if all(name in names for names in parts))
        self.partial = tuple(name for name in every if name not in self.shared)

    def words(self, word: Callable[..., Any]) -> dict[str, str]:
        """Return ``word(distance, axis)``, a head or a title, by column."""
        return {
            column: word(distance, "" if k is None else self.names[k])
            for column, (distance, k) in self.placed.items()
        }

    def states(self, time: float) -> list[State]:
        """Return all runs at a time that they share."""
        parts = self.shared if self.partial else ()
        return [State(run, time, parts, self.partial) for run in self.runs]

    def objective_gap(self, first: State, second: State) -> float:
        """Return the relative difference of the objectives, NaN where they have no common part."""
        if self.partial and not self.shared:
            return np.nan
        a, b = first.objective, second.objective
        return abs(a - b) / max(abs(a), abs(b), 1e-300)

    def notes(self, states: Sequence[State], labels: Sequence[str]) -> list[str]:
        """Return in words what differs beside the measures: functionals, flows, masses."""
        found = []
        if self.partial and not self.shared:
            found.append("F: the runs have no part in common, so that their values do not compare")
        elif self.partial:
            found.append(
                f"F: sum of the parts that all runs have ({', '.join(self.shared)}), without "
                f"{', '.join(self.partial)}"
            )
        flows = [run.problem.get("flow") for run in self.runs]
        if len(set(flows)) > 1:
            told = dict(zip(reversed(flows), reversed(labels)))
            lines = [f"  {label}: {flow}" for flow, label in reversed(told.items())]
            found.append("\n".join(["the flows differ:", *lines]))
        masses = [state.measure.mass for state in states]
        if not self.unbalanced and max(masses) - min(masses) > SAME_MASS * max(masses):
            found.append(
                f"the masses differ ({min(masses):.6g} to {max(masses):.6g}): distances are those "
                "of the measures normalised to mass 1"
            )
        return found


class State:
    """A run at one of its times: measure, objective, parts that not all runs have, model output."""

    def __init__(
        self, run: Any, time: float, shared: Sequence[str] = (), partial: Sequence[str] = ()
    ):
        index = int(np.argmin(np.abs(np.asarray(run.times) - time)))
        columns = run.diagnostics
        row = int(np.argmin(np.abs(columns["t"] - time)))
        self.measure: Measure = run.snapshots[index]
        self.objective = float(sum(columns[name][row] for name in shared or ("objective",)))
        self.parts = {n: float(columns[n][row]) if n in columns else np.nan for n in partial}
        self.output = None if run.outputs is None else run.outputs[index]


def joined(row: dict, found: dict) -> dict:
    """Return a row with the distances found, whose names must be new."""
    for name in found:
        if name in row:
            raise checks.InputError(
                f"compare distances: {name} is a column already, rename the distance"
            )
    return row | found


def output_gap(first: State, second: State) -> dict[str, float]:
    """Return the root mean square of the difference of the outputs, if both have one."""
    if first.output is None or second.output is None:
        return {}
    return {"output_rms": float(np.sqrt(np.mean((first.output - second.output) ** 2)))}


def axes_of(runs: Sequence) -> tuple[str, ...]:
    """Return the axis names that all runs share."""
    names = [run.snapshots[0].axis_names(run.problem.get("axes")) for run in runs]
    for other in names[1:]:
        if other != names[0]:
            raise checks.InputError(
                f"compare: the axes ({', '.join(names[0])}) and ({', '.join(other)}) differ, "
                "compare runs of the same problem, with momentum and without by "
                "wgf.projected(run, wgf.positions)"
            )
    return names[0]


def common_times(runs: Sequence) -> list[float]:
    """Return the times of the first run that all others share."""
    times = np.asarray(runs[0].times)
    for run in runs[1:]:
        near = np.isclose(times[:, None], run.times, rtol=1e-9, atol=1e-12).any(axis=1)
        if not near.any():
            raise checks.InputError(
                f"compare: no common time, the first run ends at t={times[-1]:g} and the second at "
                f"t={run.times[-1]:g}, run both with the same output times"
            )
        times = times[near]
    return times.tolist()
