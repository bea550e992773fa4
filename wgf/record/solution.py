"""What a run leaves: times, snapshots, model outputs and columns of diagnostics."""

import numpy as np

from wgf import checks
from wgf.measures.mesh import is_phase
from wgf.measures.particles import Particles


class Solution:
    """The result of `wgf.solve`, in memory; `wgf.open_run` reads a stored run the same way.

    Attributes
    ----------
    times : array of shape ``(k,)``
        Times of the snapshots, the start included.
    snapshots : sequence of Density or Particles
    outputs : array of shape ``(k, n)`` or None
        Model output ``∫ phi dmu`` of the first `wgf.Risk` at the snapshot times.
    diagnostics : dict of arrays of shape ``(steps + 1,)``
        One row a step and one for the start: ``t``, ``dt``, ``mass``, ``objective``, one column
        a term of the functional, ``dissipation``, …
    problem : dict
        What was solved, in words that JSON can hold: flow, functional, method, start.
    target, abscissa : array of shape ``(n,)`` or None
        Data of the loss and where they were taken.
    functional : Functional or None
        What was minimised; None for a stored run.
    status : str
        ``"done"``, ``"stopped"`` (the `stop` condition held) or ``"running"``.
    """

    def __init__(self, problem=None, target=None, abscissa=None):
        self.times = np.zeros(0)
        self.snapshots = []
        self.outputs = None
        self.diagnostics = {}
        self.problem = dict(problem or {})
        self.target = target
        self.abscissa = abscissa
        self.functional = None
        self.status = "running"

    @property
    def final(self):
        """The last snapshot."""
        return self.snapshots[-1]

    def append(self, time, measure, output, rows):
        """Add a snapshot and the rows of diagnostics since the one before."""
        self.times = np.append(self.times, time)
        self.snapshots.append(measure)
        if output is not None:
            stacked = () if self.outputs is None else (self.outputs,)
            self.outputs = np.concatenate([*stacked, output[None, :]])
        for name, column in rows.items():
            self.diagnostics[name] = np.concatenate(
                [self.diagnostics.get(name, np.zeros(0)), np.asarray(column, dtype=np.float64)]
            )

    def at(self, time):
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


def projected(run, projection):
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
    Solution
        With the diagnostics of `run` but for those of its mass and its box.
    """
    if not callable(projection):
        raise checks.InputTypeError(
            f"projected projection: {projection!r} cannot be called, give a function of a measure"
        )
    name = getattr(projection, "__name__", type(projection).__name__)
    found = Solution({**run.problem, "projection": name}, run.target, run.abscissa)
    for k, time in enumerate(run.times):
        output = None if run.outputs is None else run.outputs[k]
        found.append(float(time), projection(run.snapshots[k]), output, {})
    names = list(run.problem.get("axes", ()))
    first = found.snapshots[0]
    if is_phase(names) and 2 * first.points.shape[1] == len(names):
        # particles at the positions alone
        names = names[: len(names) // 2]
    found.problem["axes"] = list(first.names or names)
    gone = ("mass", "wall_", "blocked_")
    columns = run.diagnostics.items()
    found.diagnostics = {key: value for key, value in columns if not key.startswith(gone)}
    found.status = run.status
    return found


def in_phase_space(run):
    """Return a run of particles with velocities as one of points ``(theta, r)``, others as given.

    The snapshots are read when they are asked for; the axes are those of the problem, positions
    first.
    """
    first = run.snapshots[0]
    if not isinstance(first, Particles) or first.velocities is None:
        return run
    found = Solution(run.problem, run.target, run.abscissa)
    found.times, found.outputs, found.diagnostics = run.times, run.outputs, run.diagnostics
    found.functional, found.status = getattr(run, "functional", None), run.status
    found.snapshots = _PhaseSnapshots(run.snapshots)
    return found


class _PhaseSnapshots:
    """Snapshots of particles with velocities, seen in phase space."""

    def __init__(self, snapshots):
        self._snapshots = snapshots

    def __len__(self):
        return len(self._snapshots)

    def __getitem__(self, index):
        return self._snapshots[index].in_phase_space()
