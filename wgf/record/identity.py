"""By what a problem is known again: a run is continued only with the problem that began it.

A function cannot be compared as text, so what it gives is compared: the first variation of every
term at a measure near the start and near each snapshot, in a few weighted sums. Sums of the same
numbers differ by round-off between machines, a thousand times less than `TOLERANCE` on millions
of numbers; two problems that a user takes for different ones differ by far more.
"""

import inspect
import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from wgf import checks
from wgf.flows import HeavyBall
from wgf.measures.base import Measure
from wgf.measures.mesh import Axis, Mesh
from wgf.measures.phase import positions

# of the sum of magnitudes that goes with the weighted sums
TOLERANCE = 1e-9
# of the largest value in a run: model outputs and values of terms are sums that may cancel
CANCELLED = 1e-6
# every cell or particle up to that number, then every second one along the longest axis, and so
# on: a snapshot costs about as much as a step
# numbers of a sketch that are weighted at once
PIECE = 1 << 11
PROBES = 1 << 12
# square roots of primes, whose multiples fill an interval evenly
IRRATIONAL = np.sqrt([2.0, 3.0, 5.0, 7.0])
REMEDY = "give the same problem or another directory"


def identity(flow: Any, start: Measure, method: Any) -> dict:
    """Return what is known of a problem at its start, as JSON holds it."""
    return {
        "options": {**options("flow", flow), **options("method", method)},
        "terms": variations(flow, start),
        **of_start(start),
    }


def of_start(measure: Measure) -> dict:
    """Return what is known of the start itself."""
    domain = None if measure.domain is None else measure.domain.describe()
    return {"domain": domain, "start": sketch(_arrays(measure))}


def options(what: str, owner: Any) -> dict[str, str]:
    """Return the arguments of a constructor that JSON can hold, by dotted names."""
    found = {}
    for name in vars(owner).keys() & inspect.signature(type(owner)).parameters.keys():
        value = vars(owner)[name]
        try:
            found[f"{what}.{name}"] = json.dumps(value)
        except TypeError:
            if hasattr(value, "__dict__") and not callable(value):
                found |= options(f"{what}.{name}", value)
    return found


def sketch(arrays: Iterable[np.ndarray]) -> list[float]:
    """Return a few weighted sums of all numbers, and the sum of their magnitudes.

    Numbers that are not finite, as the slope of the entropy is in empty cells, count as 0.
    """
    sums, size, begin = np.zeros(len(IRRATIONAL)), 0.0, 0
    for values in arrays:
        values = np.reshape(values, -1)
        # a little at a time: a rank holds its share of a mesh and not much more
        for low in range(0, len(values), PIECE):
            piece = values[low : low + PIECE]
            piece = np.where(np.isfinite(piece), piece, 0.0)
            sums += _weights(begin, begin + len(piece)) @ piece
            size += float(np.abs(piece).sum())
            begin += len(piece)
    return [*map(float, sums), size]


def alike(one: list[float] | None, two: list[float] | None) -> bool:
    """Return whether two sketches are those of the same numbers; None was never made."""
    if one is None or two is None:
        return one is None
    most = TOLERANCE * max(one[-1], two[-1])
    return bool(np.all(np.abs(np.subtract(one, two)) <= most))


def variations(flow: Any, measure: Measure) -> list[list[float] | None] | None:
    """Return a sketch of the first variation of every term at a measure near `measure`.

    None stands for what cannot be evaluated there.
    """
    functional = flow.functional
    # a density that arrives from other ranks is read once, by the file
    if hasattr(measure, "stream"):
        return None
    if isinstance(flow, HeavyBall) and measure.kind == "density":
        measure = positions(measure)
    probe = _probe(measure)
    names, points = functional.axis_names(probe), probe.points

    def variation(term):
        try:
            with np.errstate(all="ignore"):
                return sketch([term.variation_at(probe, points, names)])
        except Exception:
            # a function of the user's may want the cells or particles of the run itself
            return None

    return [variation(term) for term in functional.terms]


def refuse_other(stored: dict, here: dict, names: tuple[str, ...]) -> None:
    """Raise `InputError` naming what differs from the identity of a stored run."""
    now = here["options"]
    for name, value in stored["options"].items():
        if now.get(name, value) != value:
            owner, _, option = name.partition(".")
            _refuse(f"the option {option} of the {owner} was {value}, now it is {now[name]}")
    if stored["domain"] != here["domain"]:
        _refuse("the start lies on another mesh or in another domain")
    if not alike(stored["start"], here["start"]):
        _refuse("the start has other values than the start of the stored run")
    refuse_terms(stored["terms"], here["terms"], names, "the start")


def refuse_terms(stored: list | None, here: list | None, names: tuple[str, ...], where: str):
    """Raise `InputError` naming the term whose first variation is another one."""
    if stored is None or here is None:
        return
    for name, one, two in zip(names, stored, here):
        if not alike(one, two):
            _refuse(f"the term {name} has another first variation than it had near {where}")


def refuse_values(what: str, stored: Any, here: Any, size: float, where: str) -> None:
    """Raise `InputError` if numbers that belong to one state differ beyond their cancellation."""
    stored, here = np.asarray(stored, dtype=float), np.asarray(here, dtype=float)
    if stored.shape != here.shape:
        _refuse(f"{what} had the shape {stored.shape}, now it has {here.shape}")
    apart = np.abs(stored - here)
    if np.any(apart > CANCELLED * size):
        worst = np.unravel_index(int(np.nanargmax(apart)), apart.shape)
        _refuse(f"{what} was {stored[worst]:.9g} {where}, now it is {here[worst]:.9g}")


def refuse_data(name: str, stored: np.ndarray | None, here: np.ndarray | None) -> None:
    """Raise `InputError` if the data of a loss are other ones; those not stored are passed over."""
    if stored is None or here is None:
        return
    same = np.shape(stored) == np.shape(here)
    if not same or not alike(sketch([stored]), sketch([here])):
        _refuse(f"the {name} of the data is another one")


def _refuse(text):
    raise checks.InputError(f"resume: {text}, {REMEDY}")


def _weights(begin, end):
    """Return rows of fixed weights in ``[-1/2, 1/2)`` for the numbers ``begin … end``."""
    return np.outer(IRRATIONAL, np.arange(begin + 1, end + 1)) % 1.0 - 0.5


def _arrays(measure):
    """Yield the numbers that make a measure, block by block."""
    if measure.kind == "density":
        for _, _, values in measure.pieces():
            yield values
        return
    yield from (measure.weights, measure.points)
    if measure.velocities is not None:
        yield measure.velocities


def _probe(measure):
    """Return a measure of at most `PROBES` points on which the first variations are compared.

    Its weights are tilted: at a minimum, where a first variation vanishes, round-off is all that
    would be left to compare.
    """
    if measure.kind == "particles":
        rows = slice(None, None, -(-measure.size // PROBES))
        points, weights = measure.points[rows], measure.weights[rows]
        return type(measure)(points, _tilted(weights), domain=measure.domain)
    mesh = measure.mesh
    cells = list(mesh.shape)
    while math.prod(cells) > PROBES:
        longest = cells.index(max(cells))
        cells[longest] = -(-cells[longest] // 2)
    # the same box with fewer cells, each of the value of a cell of the mesh
    places = [np.arange(k) * n // k for k, n in zip(cells, mesh.shape)]
    plane = mesh.cells // mesh.shape[0]
    rest = np.ix_(*places[1:])
    values = np.array(
        [measure.read(i * plane, (i + 1) * plane).reshape(mesh.shape[1:])[rest] for i in places[0]]
    )
    axes = [Axis(a.lower, a.upper, k, a.periodic) for a, k in zip(mesh.axes, cells)]
    return type(measure)(Mesh(**dict(zip(mesh.names, axes))), _tilted(values))


def _tilted(values):
    return values * (1 + _weights(0, values.size)[0].reshape(values.shape))
