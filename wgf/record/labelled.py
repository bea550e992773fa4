"""A run as labelled arrays of xarray and tables of pandas, both optional."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np

from wgf import checks
from wgf.record.solution import Record


def dataset(run: Record) -> Any:
    """Return a run as an `xarray.Dataset`; see `Record.to_xarray`.

    Returns
    -------
    xarray.Dataset
        ``density`` along ``time`` and the axes of the mesh, or ``points``, ``weights`` and perhaps
        ``velocities`` along ``time``, ``particle`` and ``component``, NaN where there are fewer
        particles; ``output``, ``target`` and ``abscissa`` along ``sample``; the columns of
        diagnostics along ``step``, whose times are the coordinate ``step_time``. Names that are
        taken, such as an axis called ``mass``, stand with ``axis_`` before them.

    Raises
    ------
    InputError
        Where xarray is not installed.
    """
    xarray = _package("xarray")
    columns = {("step_time" if k == "t" else k): v for k, v in run.diagnostics.items()}
    found: dict[str, Any] = {
        "time": ("time", run.times, {"long_name": "flow time", "units": "time of the flow"})
    }
    for name, column in columns.items():
        found[name] = ("step", column, {"long_name": name.replace("_", " ")})
    rows = len(next(iter(columns.values()), ()))
    found["step"] = ("step", getattr(run, "steps", np.arange(rows)))
    taken = {*found, "density", "sample", "input", "output", "target", "abscissa"}
    first = run.snapshots[0]
    names = first.axis_names(run.problem.get("axes"))
    if first.kind == "density":
        found |= _density(run, names, [f"axis_{n}" if n in taken else n for n in names])
    else:
        found |= _particles(run, names)
    if run.outputs is not None:
        found["output"] = (("time", "sample"), run.outputs, {"long_name": "model output"})
    for name in ("target", "abscissa"):
        values = getattr(run, name, None)
        if values is not None and len(values) == np.shape(run.outputs)[-1:][0]:
            found[name] = (("sample", "input")[: np.ndim(values)], values)
    made = xarray.Dataset(found).set_coords([n for n in ("step_time",) if n in found])
    made.attrs |= {"status": run.status, "problem": json.dumps(run.problem)}
    return made


def _density(run, names, dimensions):
    first = run.snapshots[0]
    found = {
        name: (name, axis.centers, {"long_name": f"centres of the cells along {axis_name}"})
        for name, axis_name, axis in zip(dimensions, names, first.mesh.axes)
    }
    values = np.stack([measure.values for measure in run.snapshots])
    told = {"long_name": "density", "units": f"mass per unit {' x '.join(names)}"}
    return found | {"density": (("time", *dimensions), values, told)}


def _particles(run, names):
    measures = list(run.snapshots)
    count = max(measure.size for measure in measures)
    along = ("time", "particle", "component")
    found = {"component": ("component", list(names)), "particle": ("particle", np.arange(count))}
    units = {"points": "those of the axes", "weights": "mass", "velocities": "axis per time"}
    for name, unit in units.items():
        arrays = [getattr(measure, name) for measure in measures]
        if any(values is None for values in arrays):
            continue
        whole = np.full((len(arrays), count, *arrays[0].shape[1:]), np.nan)
        for held, values in zip(whole, arrays):
            held[: len(values)] = values
        found[name] = (along[: whole.ndim], whole, {"units": unit})
    return found


def frame(run: Record) -> Any:
    """Return the diagnostics of a run as a `pandas.DataFrame`, one row per step.

    Raises
    ------
    InputError
        Where pandas is not installed.
    """
    made = _package("pandas").DataFrame(dict(run.diagnostics))
    made.index.name = "step"
    return made


def _package(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise checks.InputError(
            f"labelled arrays: {name} is not installed, {checks.install('view')}"
        ) from None
