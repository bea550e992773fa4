"""Distances as values, which comparisons and studies compute, print, fit, draw and store alike."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from wgf import checks
from wgf.distances import discrepancy, marginals, transport
from wgf.measures.base import Measure
from wgf.measures.particles import Particles
from wgf.measures.signed import flat_distance

# pieces of the measures in transport, and in sums over pairs of pieces, which cost far less
LIMIT = 2000
PAIR_LIMIT = 4000


@dataclass(frozen=True)
class Distance:
    """A distance between two measures, with all that tables and figures say about it.

    ``wgf.compare(a, b, distances=[wgf.Distance("means", gap)])`` measures by ``gap``, a function
    of two measures.

    Parameters
    ----------
    name : str
        Name of its column, ``<name>_<axis>`` along an axis.
    function : callable
        ``(first, second)``, or ``(first, second, axis)`` with the number of an axis, to a number
        or to a pair ``(value, bound)`` such as `wgf.wasserstein` returns. The bound becomes the
        column ``<name>_bound``.
    per_axis : bool
        Whether it is taken along each axis.
    at_end : bool
        Whether a comparison over time computes it at the last time alone, because of its cost.
    pieces : bool
        Whether the function takes ``limit=``, a largest number of pieces.
    applies : callable, optional
        Whether the distance is defined, of the arguments of `function`; by default it always is.
    order : float, optional
        Expected exponent of the cell width; by default the order of the method.
    rate : float or callable
        Expected exponent of the number of independent particles, or a function of the dimension
        that gives it.
    floor : callable, optional
        Smallest value that the two measures can have, whatever the flow, with the arguments of
        `function`; 0 by default. A study fits no line to values near it.
    top : float
        Largest value that any two measures can have. A study fits no line to values above half of
        it.
    label : str, optional
        Name in the heads of tables and in sentences, by default `name`.
    title : str or None, optional
        Title of its panel in the figure of a study, by default the label; ``{axis}`` stands for
        the axis, and None leaves the panel out.
    ylabel : str, optional
        What its curves over time show, in the figure of a comparison; by default the label.
    meaning : str, optional
        What it measures, for the line below a table.
    unit : str, optional
        Unit of the values, in words.
    """

    name: str
    function: Callable[..., float | tuple[float, float]]
    _: KW_ONLY
    per_axis: bool = False
    at_end: bool = False
    pieces: bool = False
    applies: Callable[..., bool] = lambda first, second, *axis: True
    order: float | None = None
    rate: float | Callable[[int], float] = -0.5
    floor: Callable[..., float] = lambda first, second, *axis: 0.0
    top: float = np.inf
    label: str = ""
    title: str | None = ""
    ylabel: str = ""
    meaning: str = ""
    unit: str = ""

    def __post_init__(self):
        # columns become datasets of HDF5 files
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z_]\w*", self.name, re.A):
            raise checks.InputError(
                f"distance name: {self.name!r} is not an identifier, rename the distance"
            )
        if not callable(self.function):
            raise checks.InputTypeError(
                f"distance {self.name}: {self.function!r} cannot be called, give a function of two "
                "measures"
            )

    def head(self, axis: str = "") -> str:
        """Return the head of its column in a printed table."""
        return f"{self.label or self.name}({axis})" if axis else self.label or self.name

    def panel(self, axis: str = "") -> str | None:
        """Return the title of its panel in a figure, None for no panel."""
        return None if self.title is None else self.title.format(axis=axis) or self.head(axis)

    def expected(self, kind: str, dimension: int, order: float = np.nan) -> float:
        """Return the expected exponent of the cell width, or of the number of particles.

        Parameters
        ----------
        kind : {"density", "particles"}
        dimension : int
        order : float
            Order of the method.
        """
        if kind == "density":
            return order if self.order is None else self.order
        return self.rate(dimension) if callable(self.rate) else self.rate

    def between(
        self, first: Measure, second: Measure, axis: int | None = None, limit: int = LIMIT
    ) -> tuple[float, ...]:
        """Return the value, or value and bound, or nothing where the distance does not apply."""
        place = () if axis is None else (axis,)
        if not self.applies(first, second, *place):
            return ()
        found = self.function(first, second, *place, **({"limit": limit} if self.pieces else {}))
        values = checks.returned(f"distance {self.name}", found).reshape(-1)
        if values.size > 2 or not values.size:
            raise checks.InputError(
                f"distance {self.name}: {values.size} numbers were returned, return one number or "
                "a pair of a value and its bound"
            )
        return tuple(map(float, values))


# distances and the numbers of their axes, None for whole measures, by column
Placed = dict[str, tuple[Distance, int | None]]


def columns(distances: Sequence[Distance], names: Sequence[str]) -> Placed:
    """Return the distances with the numbers of their axes by column: per axis, then of the whole.

    Raises
    ------
    InputError
        For what is not a distance, and for two of one name.
    """
    if not isinstance(distances, list | tuple):
        raise checks.InputTypeError(
            f"compare distances: {type(distances).__name__} is not a list, give a list of "
            "wgf.Distance"
        )
    found: Placed = {}
    for k, name in [*enumerate(names), (None, "")]:
        for each in distances:
            checks.instance("compare distances", each, Distance)
            column = f"{each.name}_{name}" if name else each.name
            if each.per_axis == (k is None):
                continue
            if column in found:
                raise checks.InputError(
                    f"compare distances: two are called {each.name}, rename one of them"
                )
            found[column] = each, k
    return found


def measured(
    placed: Placed, first: Measure, second: Measure, limit: int = LIMIT
) -> dict[str, float]:
    """Return the values and bounds of the distances of two measures by column.

    Parameters
    ----------
    placed : dict
        As `columns` returns it.
    first, second : Density or Particles
    limit : int
        Largest number of pieces, see `wgf.wasserstein`.
    """
    found: dict[str, float] = {}
    for column, (distance, axis) in placed.items():
        values = distance.between(first, second, axis, limit)
        found |= zip((column, f"{column}_bound"), values)
    return found


def floors(placed: Placed, first: Measure, second: Measure) -> dict[str, float]:
    """Return the floors of the distances of two measures by column, where there are any."""
    found = {}
    for column, (distance, axis) in placed.items():
        place = () if axis is None else (axis,)
        if distance.applies(first, second, *place):
            found[column] = float(distance.floor(first, second, *place))
    return {column: floor for column, floor in found.items() if floor > 0}


def _marginal(distance):
    def along(first, second, axis):
        first, second = (_line(measure, axis) for measure in (first, second))
        return distance(first, second)

    return along


def _line(measure, axis):
    """Return a marginal; two copies, at -1 and +1, are points and not intervals."""
    line = measure.marginal(axis)
    if axis == 0 and measure.signed:
        return Particles(line.points, line.weights, domain=line.domain)
    return line


def _offset(share):
    """Return the floor of cells against points at their centres: a share of the cell width."""

    def floor(first, second, axis):
        cells, points = sorted((first, second), key=lambda measure: measure.kind)
        if (cells.kind, points.kind) != ("density", "particles") or not cells.widths[axis]:
            return 0.0
        h, lower = cells.mesh.spacing[axis], cells.mesh.lower[axis]
        index = (points.coordinates(axis) - lower) / h - 0.5
        return share * h if np.abs(index - np.round(index)).max() < 1e-9 * cells.size else 0.0

    return floor


def _flat(first, second, axis):
    """Return the flat norm of the difference; its reach is a tenth of the axis."""
    known = [m for m in (first, second) if m.domain is not None]
    low, high = zip(*(measure.bounds(axis) for measure in known[:1] or (first, second)))
    reach = 0.1 * max(max(high) - min(low), 1e-300)
    return flat_distance(first, second, axis, reach)


def _energy(first, second, limit):
    return discrepancy.energy_distance(first, second, max(limit, PAIR_LIMIT))


def _transportable(first, second):
    return first.dimension == 1 or transport.available()


MARGINAL_W1, MARGINAL_W2 = (
    Distance(
        name,
        _marginal(function),
        per_axis=True,
        floor=_offset(share),
        label=name.upper(),
        title=None,
        ylabel=f"{name.upper()} of the marginals (axis units)",
        meaning="of the marginals",
        unit="in units of the axis",
    )
    for name, function, share in (
        ("w1", marginals.wasserstein_1, 1 / 4),
        ("w2", marginals.wasserstein_2, 1 / 12**0.5),
    )
)
W1, W2 = (
    Distance(
        f"w{power}",
        functools.partial(transport.wasserstein, power=power),
        at_end=True,
        pieces=True,
        applies=_transportable,
        rate=lambda dimension: -1 / max(dimension, 2),
        label=f"W{power}",
        title=f"W{power} of the measures",
        unit="in units of the axes",
    )
    for power in (1, 2)
)
ENERGY = Distance("energy", _energy, at_end=True, pieces=True, label="energy distance")
MMD = Distance("mmd", discrepancy.mmd, at_end=True, top=2**0.5, label="maximum mean discrepancy")
FLAT = Distance(
    "flat",
    _flat,
    per_axis=True,
    applies=lambda first, second, axis: axis > 0 or not first.signed,
    title="flat norm along {axis}",
    ylabel="flat norm of the difference",
    meaning="norm of the difference along an axis, a tenth of which is the reach",
)
# measures of different mass are not normalised and transported but compared by the flat norm
UNBALANCED = (FLAT,)
PAIR = (MARGINAL_W1, MARGINAL_W2, W1, W2, ENERGY, MMD)
STUDY = (MARGINAL_W1, W1, ENERGY, MMD)
