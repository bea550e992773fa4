"""The schema of a file: its datasets, their axes and types, in one table.

A snapshot, the index over all snapshots and a packed file are three renderings of this schema by
`wgf.record.layout`: they differ in the number of times and in whether the large datasets are held
or are views of the snapshots.
"""

import json
from typing import NamedTuple

import numpy as np

from wgf.measures.base import Measure
from wgf.measures.mesh import Mesh

FORMAT = 1
INTEGER = "<i8"
# stands for the axes of the mesh
CELLS = "cells"


class Item(NamedTuple):
    """A dataset of the schema.

    Attributes
    ----------
    axes : tuple of str
        Names of the datasets that are the dimension scales of its axes; a dataset that names
        itself is a scale.
    dtype : str or None
        None for texts and for arrays that keep the type they have.
    large : bool
        Whether the index holds a view of the snapshots in its place.
    """

    axes: tuple[str, ...] = ()
    dtype: str | None = "<f8"
    large: bool = False

    def is_scale(self, name: str) -> bool:
        """Return whether the dataset called `name` is a scale."""
        return self.axes == (name,)


_PARTICLES = ("time", "particle", "component")
# a star stands for any name in a group
SCHEMA = {
    "time": Item(("time",)),
    "measure_json": Item(dtype=None),
    "density": Item(("time", CELLS), large=True),
    "particle": Item(("particle",), INTEGER),
    "component": Item(("component",), INTEGER),
    "particles/points": Item(_PARTICLES, large=True),
    "particles/weights": Item(_PARTICLES[:2], large=True),
    "particles/velocities": Item(_PARTICLES, large=True),
    "step": Item(("step",), INTEGER),
    "diagnostics/*": Item(("step",)),
    "sample": Item(("sample",), INTEGER),
    "output": Item(("time", "sample")),
    "target": Item(("sample",)),
    "input": Item(("input",), INTEGER),
    "abscissa": Item(("sample", "input")),
    "problem_json": Item(dtype=None),
    "provenance_json": Item(dtype=None),
}
LARGE = tuple(name for name, item in SCHEMA.items() if item.large)
# names at the root of a file that an axis of a mesh must not shadow
TAKEN = {name.partition("/")[0] for name in SCHEMA} | {"restart", "VTKHDF"}


class Marked(NamedTuple):
    """Values of a dataset with its attributes."""

    values: object
    attributes: dict


def item_of(name: str, dimensions: int, cells: tuple[str, ...] = ()) -> Item:
    """Return the schema's item for a dataset of so many axes; `cells` name those of the mesh."""
    if name in cells:
        return Item((name,))
    group = name.partition("/")[0]
    if group == "restart":
        # the state of a method: every array has scales of its own
        return Item(tuple(f"{name}_index{i}" for i in range(dimensions)), None)
    item = SCHEMA.get(name) or SCHEMA[f"{group}/*"]
    if group == "diagnostics":
        # an observable that is an array has further axes
        more = (f"{name}_index{i}" for i in range(1, dimensions))
        return item._replace(axes=(*item.axes, *more))
    axes = (each if each == CELLS else (each,) for each in item.axes)
    axes = sum((cells if each == CELLS else each for each in axes), ())
    return item._replace(axes=axes[:dimensions])


def axis_dataset(name: str) -> str:
    """Return the name under which the axis `name` of a mesh is stored."""
    return f"axis_{name}" if name in TAKEN or name.startswith("axis_") else name


def describe(measure: Measure) -> str:
    """Return kind and domain of a measure as JSON."""
    domain = None if measure.domain is None else measure.domain.describe()
    return json.dumps({"kind": measure.kind.capitalize(), "domain": domain})


def described(text: str) -> tuple[str, Mesh | None]:
    """Return kind and domain that `describe` wrote."""
    found = json.loads(text)
    domain = found["domain"]
    return found["kind"].lower(), None if domain is None else Mesh.from_description(domain)


def cells_of(text: str) -> tuple[str, ...]:
    """Return the names of the datasets of the cell axes, none for particles."""
    kind, domain = described(text)
    return tuple(map(axis_dataset, domain.names)) if kind == "density" else ()


def of_measure(text: str, large: dict, names: str = "", count: int = 0) -> dict:
    """Return the datasets of measures that `text` describes.

    Parameters
    ----------
    text : str
        What `describe` returned.
    large : dict
        The large datasets of the kind by name: arrays, or functions that make the dataset.
    names : str
        Names of the components of particles, with commas between them.
    count : int
        Number of particles, the largest of all times.
    """
    kind, domain = described(text)
    found = {"measure_json": text}
    if kind == "density":
        for name, axis in zip(domain.names, domain.axes):
            found[axis_dataset(name)] = Marked(axis.centers, {"spacing": axis.spacing})
    else:
        components = np.arange(len(names.split(",")))
        found["particle"] = np.arange(count)
        found["component"] = Marked(components, {"names": names})
    return found | large


def of_arrays(measure: Measure) -> dict:
    """Return the large datasets of one measure whose arrays are in memory."""
    if measure.kind == "density":
        return {"density": measure.values[None]}
    arrays = {"points": measure.points, "weights": measure.weights}
    if measure.velocities is not None:
        arrays["velocities"] = measure.velocities
    return {f"particles/{name}": values[None] for name, values in arrays.items()}


def content(measures: dict, times, steps, rows, outputs, target, abscissa, texts, restart=None):
    """Return the datasets of a file by name, in the order in which they are written.

    None stands for a group whose members keep that order.

    Parameters
    ----------
    measures : dict
        See `of_measure`.
    times, outputs : arrays of shape ``(T,)`` and ``(T, n)`` or None
    steps : array of shape ``(S,)``
        Numbers of the steps that the rows of diagnostics are of.
    rows : dict of arrays of shape ``(S,)`` or ``(S, …)``
    target, abscissa : array of shape ``(n,)`` or None
        Left out if they are not of the length of the first of outputs, target, abscissa.
    texts : dict of str
    restart : dict, optional
        What a continuation needs.
    """
    found = {"time": Marked(times, {"long_name": "flow time"}), **measures, "step": steps}
    if rows or restart is not None:
        found["diagnostics"] = None
    found |= {f"diagnostics/{name}": column for name, column in rows.items()}
    lengths = [len(values) for values in (target, abscissa) if values is not None]
    if outputs is not None:
        found["output"] = outputs
        lengths.insert(0, np.shape(outputs)[1])
    for name, values in (("target", target), ("abscissa", abscissa)):
        if values is not None and len(values) == lengths[0]:
            found[name] = values
    if restart is not None:
        found["restart"] = None
        found |= {f"restart/state_{key}": _state(value) for key, value in restart.items()}
    return found | texts


def _state(value):
    """Return a value of the state of a method as it is stored.

    Its name begins with ``state_``: a scalar called like a dimension would be taken for its scale.
    """
    if isinstance(value, np.ndarray) and value.ndim:
        return value.astype(value.dtype.newbyteorder("<"), copy=False)
    # whole numbers as text: the state of a random generator has more than 64 bits
    held = str(value) if type(value) is int else value
    return Marked(held, {"kind": type(value).__name__})


def state(value, kind: str | None):
    """Return what `_state` stored, with the type that it was given."""
    if kind == "int":
        return int(value)
    if kind in ("float", "bool"):
        return value.item()
    return np.asarray(value) if kind == "ndarray" else value
