"""What a run leaves: times, snapshots, model outputs and columns of diagnostics."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wgf import checks
from wgf.measures.base import Drawn, Measure
from wgf.measures.mesh import is_phase


class Record(Drawn):
    """A run as it is read: a `Solution` in memory, a stored `Run`, or a `View` of one of them.

    Attributes
    ----------
    times : array of shape ``(k,)``
        Times of the snapshots, the start included.
    snapshots : sequence of Density or Particles
    outputs : array of shape ``(k, n)`` or None
        Model output ``∫ phi dmu`` of the first `wgf.Risk` at the snapshot times.
    diagnostics : dict of arrays of shape ``(steps + 1,)``
        One row per step and one for the start: ``t``, ``dt``, ``mass``, ``objective``, one column
        per term of the functional, ``dissipation``, …; observables, those that are arrays with
        further axes, and NaN where they were not evaluated.
    problem : dict
        What was solved, in words that JSON can hold: flow, functional, method, start.
    target, abscissa : array of shape ``(n,)`` or None
        Data of the loss and where they were taken.
    functional : Functional or None
        What was minimised; None for a stored run.
    status : str
        ``"done"``, ``"stopped"`` (the `stop` condition held) or ``"running"``.
    """

    def __init__(
        self,
        problem: dict | None = None,
        target: np.ndarray | None = None,
        abscissa: np.ndarray | None = None,
        **held: Any,
    ):
        self.problem = dict(problem or {})
        self.target, self.abscissa = target, abscissa
        self.times: np.ndarray = np.zeros(0)
        self.snapshots: Sequence[Measure] = []
        self.outputs: np.ndarray | None = None
        self.diagnostics: dict[str, np.ndarray] = {}
        self.functional = None
        self.status = "running"
        vars(self).update(held)

    @classmethod
    def of_one(cls, time: float, output: np.ndarray | None, rows: dict) -> "Record":
        """Return the record of one snapshot, without its measure, and of the rows before it."""
        return cls(
            times=np.array([time], dtype=np.float64),
            outputs=None if output is None else np.asarray(output)[None],
            diagnostics={k: np.asarray(v, dtype=np.float64) for k, v in rows.items()},
        )

    def extend(self, *parts: "Record") -> None:
        """Add the times, outputs and rows of diagnostics of records that follow this one."""
        held = [self, *parts]
        outputs = [part.outputs for part in held if len(part.times)]
        self.outputs = None
        if outputs and all(each is not None for each in outputs):
            self.outputs = np.concatenate(outputs)
        self.times = np.concatenate([part.times for part in held])
        names = dict.fromkeys(name for part in held for name in part.diagnostics)
        rows = [len(next(iter(part.diagnostics.values()), ())) for part in held]
        self.diagnostics = {
            name: np.concatenate(_columns([part.diagnostics.get(name) for part in held], rows))
            for name in names
        }

    @property
    def final(self) -> Measure:
        """The last snapshot."""
        return self.snapshots[-1]

    def at(self, time: float) -> Measure:
        """Return the snapshot at `time`.

        Raises
        ------
        InputError
            If no snapshot was taken then.
        """
        where = np.flatnonzero(np.isclose(self.times, time, rtol=1e-12, atol=1e-14))
        if not len(where):
            raise checks.InputError(
                f"solution: no snapshot at t={time:g}, choose from "
                f"{', '.join(f'{t:g}' for t in self.times)}"
            )
        return self.snapshots[int(where[0])]

    def __repr__(self):
        last = f"t={self.times[-1]:g}" if len(self.times) else "no snapshot"
        steps = len(self.diagnostics.get("t", ())) - 1
        return f"{type(self).__name__}({last}, {len(self.times)} snapshots, {steps} steps)"


def _columns(columns, lengths):
    """Return the pieces of a column, NaN of its shape where a record lacks it."""
    shape = next(np.shape(column)[1:] for column in columns if column is not None and len(column))
    return [
        np.full((n, *shape), np.nan) if column is None or not len(column) else column
        for column, n in zip(columns, lengths)
    ]


class Solution(Record):
    """The result of `wgf.solve`, in memory; `wgf.open_run` reads a stored run the same way."""

    __doc__ += Record.__doc__.partition("\n")[2]

    def append(self, time: float, measure: Measure, output: np.ndarray | None, rows: dict) -> None:
        """Add a snapshot and the rows of diagnostics since the one before."""
        self.snapshots.append(measure)
        self.extend(Record.of_one(time, output, rows))


class View(Record):
    """A record of which some attributes are seen otherwise; all others are its own."""

    def __init__(self, record: Record, **seen: Any):
        self._record = record
        vars(self).update(seen)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._record, name)


class Lazy(Sequence):
    """A sequence whose members are made of the members of another one when they are asked for."""

    def __init__(self, members: Sequence, make: Callable):
        self._members, self._make = members, make

    def __len__(self):
        return len(self._members)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._make(self._members[index])


def projected(run: Record, projection: Callable[[Measure], Measure]) -> Record:
    """Return a run with every snapshot projected, for example onto positions.

    A run on amplitudes and positions projected by `wgf.amplitude_projection` can be compared with
    the run of `wgf.FisherRao` on positions.

    Parameters
    ----------
    run : Solution or stored run
    projection : callable
        Of a measure to a measure.

    Returns
    -------
    View
        With the diagnostics of `run` except those of its mass and its box.
    """
    if not callable(projection):
        raise checks.InputTypeError(
            f"projected projection: {projection!r} cannot be called, give a function of a measure"
        )
    snapshots = [projection(measure) for measure in run.snapshots]
    names = list(run.problem.get("axes", ()))
    first = snapshots[0]
    if is_phase(names) and 2 * first.dimension == len(names):
        # particles at the positions alone
        names = names[: len(names) // 2]
    name = getattr(projection, "__name__", type(projection).__name__)
    axes = list(first.names or names)
    gone = ("mass", "wall_", "blocked_")
    return View(
        run,
        snapshots=snapshots,
        problem={**run.problem, "projection": name, "axes": axes},
        diagnostics={k: column for k, column in run.diagnostics.items() if not k.startswith(gone)},
        functional=None,
    )


def in_phase_space(run: Record) -> Record:
    """Return a run of particles with velocities as one of points ``(theta, r)``, others as given.

    The snapshots are read when they are asked for; the axes are those of the problem, positions
    first.
    """
    if getattr(run.snapshots[0], "velocities", None) is None:
        return run
    return View(run, snapshots=Lazy(run.snapshots, lambda measure: measure.in_phase_space()))
