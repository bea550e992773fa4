"""A run again on other meshes, with other tolerances and draws: how large its errors are."""

from __future__ import annotations

import copy
import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from wgf import checks
from wgf.command import runner
from wgf.command.options import parameters
from wgf.command.settings import OPTIONS, SIDES, Place
from wgf.command.signals import Signals
from wgf.comparison.richardson import richardson, student
from wgf.comparison.table import Table
from wgf.record.directory import is_run, replace

NOTE = "refine.json"
# a sample is drawn again so often, with a quarter of the particles
DRAWS, FRACTION = 8, 4
# the error of a step control of that reduction, and of steps of half the length at order 1
TIGHTER = 0.1
TIME_SAFETY = 2.0


class Refinement:
    """What `refine` found.

    Attributes
    ----------
    path : path
        Directory of the further runs.
    table : Table
        A row for every side and quantity (``F``, ``mean_<axis>``, ``variance_<axis>`` and the
        observables, at the end): ``value`` of the run; its ``error``, the sum of ``space`` (or of
        ``sampling`` for particles that were drawn) and ``time``; ``order`` in the cell width, NaN
        where none is seen; ``limit``, Richardson's extrapolation.
    notes : list of str
    """

    def __init__(self, path: pathlib.Path, rows: list[dict], notes: list[str]):
        self.path, self.notes = path, notes
        names = ("value", "error", "space", "sampling", "time", "order", "limit")
        rows = [{**row, **{n: row.get(n, np.nan) for n in names}} for row in rows]
        empty = [n for n in names if all(np.isnan(row[n]) for row in rows)]
        self.table = Table(rows, {"error": "±"}, empty, "{:.6g}")

    def save(self, path: Any) -> None:
        """Write the table to a ``.csv`` or an ``.h5`` file."""
        from wgf.comparison.table import save

        save(path, {"refinement": self.table}, {"notes": "\n".join(self.notes)})

    def __str__(self):
        return "\n".join([*self.table.lines(), "", *self.notes])


def refine(
    run: str | pathlib.Path,
    script: Callable | str | pathlib.Path | None = None,
    by: str = "cells",
    meshes: int = 2,
    out: str | pathlib.Path | None = None,
    quiet: bool = True,
) -> Refinement:
    """Estimate the errors of a run that `wgf run` stored by further runs that are cheaper.

    The mesh: runs with a half and a quarter of the cells, and Richardson's estimate. Time: a run
    with a tenth of the tolerance of the method, or with half its step. Particles that were drawn:
    eight other draws of a quarter of them, whose scatter, scaled by ``m^(-1/2)``, is that of the
    run. A call that was broken off is continued by the same call.

    Parameters
    ----------
    run : path
        Directory that `wgf run` was given as ``--out``.
    script : callable or path, optional
        The script that began the run; by default the one whose path and checksum the run stores.
    by : str
        Option of the script that sets the number of cells: a whole number or several.
    meshes : {1, 2}
        Number of coarser meshes; with one the order in the cell width is assumed to be 1.
    out : path, optional
        Directory of the further runs, by default that of the run with ``_refined``.
    quiet : bool
        Whether no progress is shown.

    Returns
    -------
    Refinement

    Raises
    ------
    InputError
        For a run without options or not at its end, another script, and an option `by` that is no
        number of cells.

    Notes
    -----
    Error bars on ``F``, the means and variances along the axes, and the observables, at the end.
    They are estimates: a mesh on which the solution is not resolved at all can hide its error.
    """
    run = pathlib.Path(run).absolute()
    checks.choice("meshes", meshes, (1, 2))
    setup = _setup(run, script)
    known = parameters(setup)
    digest, held, settings = runner.stored_options(run, known)
    values = {name: option.default for name, option in known.items()} | held
    if runner.script_of(setup)[1] != digest:
        raise checks.InputError(
            f"script: it has changed since it began {run}, give the one that began it"
        )
    _cells(values, known, by)
    out = pathlib.Path(out or run.with_name(run.name + "_refined")).absolute()
    _settle(out, json.dumps({"run": str(run), "sha256": digest, "by": by}, indent=1))
    rows, notes = [], []
    for name in SIDES[settings.method]:
        base = dataclasses.replace(
            settings, method=name, quiet=quiet, plot=False, overwrite=False, profile=False
        )
        side = _Side(setup, values, base, name, Place(run, SIDES[settings.method]), out)
        found, told = side.rows(by, meshes)
        rows += found
        notes += told
    return Refinement(out, rows, list(dict.fromkeys(notes)))


class _Side:
    """One side of a run, and the further runs of it."""

    def __init__(self, setup, values, settings, name, place, out):
        self.setup, self.values, self.settings, self.name = setup, values, settings, name
        self.out = out
        self.found = _quantities(_finished(place.sides[name]))
        self.system, (self.side,) = runner.prepare(setup, dict(values), settings)

    def again(self, label, values, settings=None, change=None):
        """Return the quantities of the run with other arguments, settings or another method."""
        settings = self.settings if settings is None else settings
        system, (side,) = runner.prepare(self.setup, {**self.values, **values}, settings)
        if change is not None:
            side.method = change(system.flow, side.method)
        place = Place(self.out / f"{self.name}_{label}", (self.name,))
        with runner.silent():
            run = runner.solve_side(system, side, place, settings, Signals())
        return _quantities(run)

    def rows(self, by, meshes):
        """Return the rows of the table and what must be told of them."""
        drawn = self.side.drawn
        parts = {"sampling": self.sampled()} if drawn else self.meshed(by, meshes)
        notes = [
            "sampling: 95 % interval by Student's t from other draws of a quarter of the particles"
            if drawn
            else "space: Richardson's estimate with a factor of safety from coarser meshes"
        ]
        method = self.side.method
        changed = tighter(self.system.flow, method)
        if changed is not None:
            later = self.again("time", {}, change=tighter)
            parts["time"] = {n: TIME_SAFETY * abs(later[n] - v) for n, v in self.found.items()}
            notes.append(f"time: {method!r} against {changed!r}")
        elif not drawn:
            notes.append(
                f"time: {method!r} takes steps that follow the mesh; space has their error"
            )
        rows = []
        for name, value in self.found.items():
            row = {"kind": self.name, "quantity": name, "value": value}
            row |= {part: each[name] for part, each in parts.items()}
            row["error"] = sum(row.get(p, 0.0) for p in ("space", "sampling", "time"))
            rows.append(row)
        return rows, notes

    def meshed(self, by, meshes):
        """Return limits, errors and orders in space by quantity."""
        counts = self.values[by]
        runs, widths = [self.found], [1.0]
        for k in range(1, meshes + 1):
            coarser = _coarser(counts, 2**k)
            runs.append(self.again(f"mesh{2**k}", {by: coarser}))
            widths.append(float(np.mean(np.divide(counts, coarser))))
        found = {name: richardson([run[name] for run in runs], widths) for name in self.found}
        columns = {"space": "error", "order": "order", "limit": "limit"}
        return {
            column: {name: getattr(each, field) for name, each in found.items()}
            for column, field in columns.items()
        }

    def sampled(self):
        """Return half the interval of every quantity over the draws."""
        count = self.side.start.size // FRACTION
        if count < 2:
            raise checks.InputError(
                f"particles: {self.side.start.size} are too few to draw a quarter of them, "
                f"run with at least {2 * FRACTION}"
            )
        runs = []
        for k in range(1, DRAWS + 1):
            settings = dataclasses.replace(
                self.settings, particles=count, seed=self.settings.seed + k
            )
            values = {n: getattr(settings, n) for n in ("particles", "seed") if n in self.values}
            runs.append(self.again(f"draw{k}", values, settings, _reseeded(k)))
        factor = np.sqrt(count / self.side.start.size)
        return {name: student([run[name] for run in runs], factor) for name in self.found}


def tighter(flow: Any, method: Any) -> Any:
    """Return the method with smaller errors in time, None if it has no option for them."""
    found = copy.copy(method)
    held = vars(method)
    if held.get("step") is not None:
        found.step = 0.5 * method.step
        if held.get("growth", 1.0) > 1:
            # steps that grow forget how long the first one was
            found.growth = 1.0
    elif "tolerance" in held:
        usual = 1e-5 if flow.functional.kinked else 1e-8
        found.tolerance = TIGHTER * (usual if method.tolerance is None else method.tolerance)
    elif "courant" in held:
        found.courant = 0.5 * method.courant
    else:
        return None
    return found


def _reseeded(k):
    """Return the change of a method to random numbers of its own."""

    def change(flow, method):
        found = copy.copy(method)
        if "seed" in vars(method):
            found.seed = method.seed + k
        return found

    return change


def _coarser(counts, factor):
    """Return fewer cells, odd where they are odd: a cell then lies on the same point."""
    if isinstance(counts, tuple | list):
        return type(counts)(_coarser(count, factor) for count in counts)
    return max(counts // factor, 4) | (counts & 1)


def _cells(values, known, by):
    """Refuse an option that is not the number of cells."""
    whole = [
        name
        for name, value in values.items()
        if all(type(v) is int for v in (value if isinstance(value, tuple | list) else [value]))
    ]
    if by not in whole:
        names = ", ".join(whole) or "it has none"
        raise checks.InputError(
            f"by: the script has no whole number {by!r}, name the one that sets the cells: {names}"
        )


def _setup(run, script):
    """Return the function of the script that began a run."""
    if script is not None:
        return script if callable(script) else runner.load_setup(script)
    file = run / OPTIONS
    try:
        held = json.loads(file.read_text())
        path = pathlib.Path(held["path"])
        if runner.digest_of(path) == held["sha256"]:
            return runner.load_setup(path)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise checks.InputError(
        f"script: {run} does not say where the script that began it is now, give its path"
    )


def _finished(path):
    from wgf.record.run import open_run

    found = open_run(path)
    if found.status not in ("done", "stopped"):
        raise checks.InputError(
            f"{path}: the run is {found.status}, go on with wgf resume before it is refined"
        )
    return found


def _quantities(run):
    """Return F, moments and observables of a run at its end, by name."""
    columns, measure = run.diagnostics, run.final
    names = measure.axis_names(run.problem.get("axes"))
    found = {"F": float(columns["objective"][-1])}
    found |= {f"mean_{n}": float(v) for n, v in zip(names, measure.mean())}
    spread = np.diag(np.atleast_2d(measure.covariance()))
    found |= {f"variance_{n}": float(v) for n, v in zip(names, spread)}
    for name in run.problem.get("observables", ()):
        column = columns[name].reshape(len(columns[name]), -1)
        last = column[~np.isnan(column).any(axis=1)][-1]
        single = columns[name].ndim == 1
        found |= {name if single else f"{name}[{k}]": float(v) for k, v in enumerate(last)}
    return found


def _settle(out, held):
    """Write what is refined, or refuse a directory that holds something else."""
    file = out / NOTE
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        try:
            same = file.read_text() == held
        except OSError:
            same = False
        if not same or is_run(out):
            raise checks.InputError(
                f"out: {out} holds something else than this refinement, choose another path"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    replace(file, held.encode())
