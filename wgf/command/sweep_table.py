"""The table of a sweep: final values and columns at common times over the varied options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wgf.record.directory import replace
from wgf.record.solution import Record

# the times of the snapshots, and those of observables that have times of their own
CLOCKS = ("time", "observed")
# names in the table that an option must not have
LABELS = ("side", "status")


def columns_of(run: Record, observe: Mapping[str, Callable] | None = None) -> dict[str, dict]:
    """Return the columns of a run at its snapshots, and observables at their own times, by clock.

    Numbers are held as JSON does; the times of a clock stand under its name. Under ``"end"`` stand
    the observables at the end of a run that a condition stopped between their times.
    """
    columns = run.diagnostics
    rows = {"time": np.searchsorted(columns["t"], run.times)}
    clock = dict.fromkeys(columns, "time")
    for name in run.problem.get("observables", ()):
        column = columns[name]
        known = ~np.isnan(column.reshape(len(column), -1)).any(axis=1)
        if not known.all():
            rows["observed"], clock[name] = np.flatnonzero(known), "observed"
    found = {each: {each: columns["t"][rows[each]].tolist()} for each in rows}
    found["time"]["time"] = np.asarray(run.times).tolist()
    for name, column in columns.items():
        found[clock[name]][name] = column[rows[clock[name]]].tolist()
    if "observed" in rows and rows["observed"][-1] < len(columns["t"]) - 1:
        end = run.final, float(run.times[-1])
        held = {name: np.asarray(function(*end)) for name, function in (observe or {}).items()}
        found["end"] = {name: [value.tolist()] for name, value in held.items()}
    return found


def collect(plan: Any) -> list[dict]:
    """Write ``sweep.h5`` from the outcomes of a plan and return those of failures."""
    from wgf.record.grid import grid_image

    cells, failures = [], []
    both = len(plan.sides) > 1
    for job in plan.every_job():
        outcome = plan.outcome(job)
        if outcome is None:
            # what chance has no part in ran for the first seed alone
            outcome = plan.outcome(plan.first(job))
        elif outcome["status"] == "failed":
            failures.append(outcome | {"where": plan.described(job)})
        cells.append((_columns(plan, job, outcome), outcome["status"]))
    held = [columns for columns, _ in cells if columns]
    names = sorted({n for columns in held for each in columns.values() for n in each} - {*CLOCKS})
    dimensions = plan.dimensions([*names, *CLOCKS, *LABELS])
    labels = (*dimensions, "side") if both else tuple(dimensions)
    shape = [len(values) for values in dimensions.values()] + ([2] if both else [])
    dimensions |= {"side": plan.sides} if both else {}
    variables: dict[str, tuple] = {
        "status": (labels, np.array([status for _, status in cells]).reshape(shape))
    }
    ends = [columns.get("end", {}) for columns, _ in cells]
    for clock in CLOCKS:
        here = [columns.get(clock) for columns, _ in cells]
        times = _common([columns[clock] for columns in here if columns])
        if clock == "time" or len(times):
            dimensions[clock] = times
        for name in (n for n in names if any(columns and n in columns for columns in here)):
            _put(variables, dimensions, name, (labels, shape), (clock, times), here, ends)
    content = grid_image(dimensions, variables, {"sweep_json": plan.described()})
    replace(plan.out / "sweep.h5", content)
    return failures


def _put(variables, dimensions, name, grid, timed, here, ends):
    """Add a column: its values at the end, and its history at the common times."""
    (labels, shape), (clock, times) = grid, timed
    pieces = [None if columns is None else columns.get(name) for columns in here]
    inner = next(piece.shape[1:] for piece in pieces if piece is not None)
    more = tuple(f"{name}_index{k}" for k in range(1, len(inner) + 1))
    dimensions |= {label: np.arange(n) for label, n in zip(more, inner)}
    last = np.full((len(here), *inner), np.nan)
    history = np.full((len(here), len(times), *inner), np.nan)
    for k, (columns, piece) in enumerate(zip(here, pieces)):
        if piece is not None:
            last[k] = ends[k].get(name, piece)[-1]
            if len(times):
                history[k] = piece[np.abs(columns[clock][:, None] - times).argmin(axis=0)]
    variables[name] = (*labels, *more), last.reshape(*shape, *inner)
    if name != "t":
        history = history.reshape(*shape, len(times), *inner)
        variables[f"{name}_history"] = (*labels, clock, *more), history


def _columns(plan, job, outcome):
    """Return the columns of a job as arrays, none if it failed."""
    if outcome["status"] == "failed":
        return {}
    held = outcome.get("columns")
    if held is None:
        # a version that kept none beside the run
        from wgf.record.run import open_run

        held = columns_of(open_run(plan.path(job)))
    return {
        clock: {name: np.array(values, dtype=float) for name, values in columns.items()}
        for clock, columns in held.items()
    }


def _common(times):
    """Return the times that all have, but for rounding."""
    found = times[0] if times else np.zeros(0)
    for other in times[1:]:
        near = other[np.abs(other[:, None] - found).argmin(axis=0)]
        found = found[np.isclose(near, found, rtol=1e-12, atol=0)]
    return found
