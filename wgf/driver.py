"""The one driver: a flow, a start, a method, and what to keep of the run."""

import functools
import warnings

import numpy as np

from wgf import checks, parallel
from wgf.flows import FisherRao, GradientFlow, HeavyBall
from wgf.measures.density import Density
from wgf.measures.particles import Particles
from wgf.parallel.threads import one_library_thread
from wgf.record import provenance
from wgf.record.progress import reporter
from wgf.record.solution import Solution
from wgf.theory.separation import one_sided

# no state takes so long to settle; a step may be of any length below
LONGEST = 1e12
# share of the mass at a wall from which the box is said to be too small
WALL_SHARE = 1e-8
# a run at rest goes on for so many steps whose gap falls by less than a tenth
IDLE = 50


def default_method(flow, start):
    """Return the method that `solve` takes when none is given."""
    checks.instance("flow", flow, (GradientFlow, FisherRao, HeavyBall))
    checks.instance("start", start, (Density, Particles))
    if isinstance(flow, FisherRao):
        from wgf.eulerian import GrowthSplitting
        from wgf.lagrangian import Conic

        return GrowthSplitting() if isinstance(start, Density) else Conic()
    if isinstance(flow, HeavyBall):
        from wgf.eulerian import KineticFiniteVolume
        from wgf.lagrangian import Baoab

        return KineticFiniteVolume() if isinstance(start, Density) else Baoab()
    if isinstance(start, Density):
        from wgf.eulerian import FiniteVolume

        return FiniteVolume()
    from wgf.lagrangian import ForwardBackward, Langevin, RungeKutta

    if any(term.local for term in flow.functional.terms):
        return Langevin()
    return RungeKutta() if flow.functional.smooth else ForwardBackward()


def output_times(until, every=None, at=None):
    """Return the increasing times at which snapshots are taken, 0 first and `until` last."""
    until = checks.number("until", until, above=0)
    if every is not None and at is not None:
        raise checks.InputError(f"every: {every!r} and at are both given, give one of them")
    if at is not None:
        times = checks.array("at", at, dimensions=(1,))
        if len(times) and (times.min() < 0 or times.max() > until):
            worst = times.min() if times.min() < 0 else times.max()
            raise checks.InputError(f"at: {worst:g} lies outside [0, {until:g}], leave it out")
    elif every is not None:
        every = checks.number("every", every, above=0)
        with np.errstate(over="ignore"):
            count = np.floor(np.float64(until) / every * (1 + 1e-12))
        if count > 10**6:
            raise checks.InputError(
                f"every: {every:g} asks for {count:g} snapshots until {until:g}, give a longer one"
            )
        times = every * np.arange(1, count + 1)
    else:
        times = np.zeros(0)
    # a time that rounding put next to the end is the end
    times = times[times < until * (1 - 1e-12)]
    return np.unique(np.concatenate([[0.0], times, [until]]))


def solve(
    flow,
    start,
    until,
    every=None,
    at=None,
    method=None,
    save=None,
    overwrite=False,
    stop=None,
    progress=None,
    resume=False,
    tolerance=1e-9,
    gap=np.inf,
):
    """Solve a flow from a start until a time; the same call for a density and for particles.

    Parameters
    ----------
    flow : GradientFlow, FisherRao or HeavyBall
    start : Density or Particles
        Never changed.
    until : float or "stationary"
        End time; the last step lands on it exactly. ``"stationary"`` ends with the first state
        whose dissipation is at most `tolerance` times ``|F|`` and whose optimality gap is at most
        `gap` times ``|F|``; only the start and the end are kept then.
    every : float, optional
        Time between snapshots; `at` gives their times instead. The start and the end are always
        kept.
    method : optional
        How to solve; by default `FiniteVolume` for a density, `RungeKutta` for particles, and
        `ForwardBackward` for particles with a non-smooth penalty; with momentum
        `KineticFiniteVolume` and `Baoab`.
    save : path, optional
        Directory of the stored run, see `wgf.open_run`.
    overwrite : bool
        Whether an existing run at `save` is replaced.
    stop : callable, optional
        Given the row of diagnostics (a dictionary) after each step; the run ends with a snapshot
        once it returns true. `wgf.certified` gives one.
    progress : True or callable, optional
        True draws a bar, or prints lines where there is no terminal; a callable is given each
        row of diagnostics.
    resume : bool
        Continue the stored run at `save` after its last snapshot, with the same flow, start and
        method: the result is, to the bit, that of the run that was never interrupted.
    tolerance, gap : float
        When a state counts as stationary, see `until`. The gap bounds ``F - min F`` over the
        densities of the same mass if F is convex; a bound needs `ImplicitFiniteVolume`.

    Returns
    -------
    Solution
        Its column ``residual`` is ``F(t) - F(0) + ∫_0^t dissipation``, zero for the exact flow;
        with momentum it is that of the column ``lyapunov`` instead of ``F``.

    Warns
    -----
    BoxWarning
        If more than 1e-8 of the mass reached a wall that the start kept away from.
    StationaryWarning
        If the run comes to rest with a larger `gap` than asked; it ends there.
    StartWarning
        If the support of the start lies on one side, see `wgf.separation.one_sided`.

    Raises
    ------
    InputError
        For bad input, before anything is written.
    NumericalError
        For NaN or a step that shrinks to nothing; snapshots written before are kept.

    Notes
    -----
    Under MPI all ranks call this with the same arguments and share the work; the numbers are
    those of one process, to the bit. Rank 0 alone writes, shows progress and heeds `stop`. Every
    rank returns the whole solution; with `save` its snapshots are read from the disk.
    """
    ranks = parallel.world()
    still = None
    if isinstance(until, str) and until == "stationary":
        if every is not None or at is not None:
            raise checks.InputError(
                f"until: 'stationary' does not go with snapshots at given times "
                f"({'every' if at is None else 'at'}), leave them out"
            )
        if isinstance(flow, HeavyBall):
            raise checks.InputError(
                "until: 'stationary' has no meaning with momentum, which carries through states "
                "without dissipation, give a time"
            )
        still = _Stationary(tolerance, gap)
        times = np.array([0.0, LONGEST])
    else:
        times = output_times(until, every, at)
    method = default_method(flow, start) if method is None else method
    if isinstance(method, type) or not hasattr(method, "prepare"):
        raise checks.InputTypeError(
            f"method: {method!r} is no method, give for example wgf.FiniteVolume()"
        )
    for what, call in (("stop", stop), ("progress", None if progress is True else progress)):
        if call and not callable(call):
            raise checks.InputTypeError(f"{what}: {call!r} cannot be called, give a function")
    if resume and (save is None or overwrite):
        raise checks.InputError(
            f"resume: save={save!r} and overwrite={overwrite} do not go with it, give the "
            "directory of the run to continue"
        )
    # a condition on the state itself needs the state
    ranks.everywhere = ranks.size == 1 or save is None or hasattr(stop, "state")
    with one_library_thread():
        stepper = _prepared(method, flow, start, stop)
        trouble = None if resume else one_sided(flow, start)
        if trouble:
            warnings.warn(
                f"start: {trouble}, the flow may end in a local minimum, spread the start round 0",
                checks.StartWarning,
                stacklevel=2,
            )
        if still is not None:
            still.check(stepper.row)
        keep = _Keeper(flow, start, method, stepper, save, overwrite, resume)
        if resume:
            stepper = keep.continued(stepper, method, flow)
        # the others hear of rank 0 only
        report = None if ranks.rank > 0 else reporter(times[-1]) if progress is True else progress
        return _run(flow, stepper, times, keep, stop, report or (lambda row: None), still)


def _prepared(method, flow, start, stop):
    """Return a stepper at the start, where the objective is finite."""
    # an overflow shows in the objective, which is told in a sentence
    with np.errstate(all="ignore"):
        if hasattr(stop, "prepare"):
            stop.prepare(flow, start)
        stepper = method.prepare(flow, start)
    if not np.isfinite(stepper.row["objective"]):
        raise checks.InputError(
            f"start: the objective is {stepper.row['objective']} there, check the features"
        )
    return stepper


def _run(flow, stepper, times, keep, stop, report, still=None):
    look = getattr(stop, "state", lambda steps, stepper, flow: False)
    ranks = parallel.world()
    with keep:
        if keep.steps < 0:
            keep.row(stepper.row)
            keep.snapshot(stepper)
        report(stepper.row)
        for target in times[times > stepper.time]:
            while stepper.time < target:
                left = target - stepper.time
                if still is not None:
                    # steppers measure a step too small by what they were allowed
                    left = min(left, max(1e3, 10 * stepper.time))
                row = stepper.advance(left)
                if abs(stepper.time - target) <= 1e-14 * max(1.0, abs(target)):
                    stepper.time = row["t"] = float(target)
                keep.row(row)
                report(row)
                if stop is not None and (
                    ranks.share(stop(row)) or ranks.share(look(keep.steps, stepper, flow))
                ):
                    keep.snapshot(stepper)
                    keep.solution.status = "stopped"
                    return keep.solution
                if still is not None and still(row):
                    break
                if still is not None and still.stuck():
                    keep.snapshot(stepper)
                    keep.solution.status = "stopped"
                    return keep.solution
            keep.snapshot(stepper)
        keep.solution.status = "done"
    return keep.solution


def warn_of_walls(solution):
    """Warn of walls that the start kept away from and the flow reached.

    Walls that the start already touches are taken for walls of the problem.
    """
    columns = solution.diagnostics
    for name in solution.problem["axes"]:
        wall = columns.get(f"wall_{name}")
        if wall is None:
            continue
        share = wall / columns["mass"]
        if share[0] <= WALL_SHARE < share.max():
            held = columns[f"blocked_{name}"].max()
            told = f", which held back up to {held:.2g} a unit of time" if held > 0 else ""
            warnings.warn(
                f"box: {share.max():.2g} of the mass reached the walls of {name}{told}, enlarge "
                "the axis",
                checks.BoxWarning,
                stacklevel=5,
            )


class _Stationary:
    """Whether a row of diagnostics is that of a stationary state."""

    def __init__(self, tolerance, gap):
        self.tolerance = checks.number("tolerance", tolerance, above=0)
        self.gap = gap if gap == np.inf else checks.number("gap", gap, above=0)
        self.best, self.idle = np.inf, 0

    def check(self, row):
        if self.gap < np.inf and "gap" not in row:
            raise checks.InputError(
                f"gap: {self.gap:g} cannot be asked of this method, use wgf.ImplicitFiniteVolume"
            )

    def __call__(self, row):
        size = abs(row["objective"])
        small = row["dissipation"] <= self.tolerance * size
        gap = row.get("gap", 0.0) / max(size, np.finfo(float).tiny)
        # at rest the gap has settled, or jumps up and down where a minimum lies between cells
        self.idle = self.idle + 1 if small and gap > 0.9 * self.best else 0
        self.best = min(self.best, gap)
        return small and gap <= self.gap

    def stuck(self):
        """Return whether the state rests with too large a gap, and warn of it."""
        if self.idle < IDLE:
            return False
        warnings.warn(
            f"until: the state rests with a gap of {self.best:.2g} of |F| where {self.gap:.2g} is "
            "asked, refine the mesh or ask for less",
            checks.StationaryWarning,
            stacklevel=4,
        )
        return True


class _Stored:
    """The snapshots of a run that rank 0 wrote, read when they are asked for."""

    def __init__(self, path):
        self.path = path

    @functools.cached_property
    def _snapshots(self):
        from wgf.record.store import open_run

        return open_run(self.path).snapshots

    def __len__(self):
        return len(self._snapshots)

    def __getitem__(self, index):
        return self._snapshots[index]


class _Keeper:
    """Collects rows and snapshots in memory and, if asked, on disk: rank 0 writes."""

    def __init__(self, flow, start, method, stepper, save, overwrite, resume):
        names = flow.axis_names(start)
        problem = {
            "flow": repr(flow),
            "method": repr(method),
            "start": repr(start),
            "axes": list(names),
            "terms": list(flow.functional.part_names),
        }
        risks = flow.functional.risks
        target = risks[0].loss.target if risks else None
        abscissa = risks[0].features.abscissa if risks else None
        self.solution = Solution(problem, target, abscissa)
        self.solution.functional = flow.functional
        self.rows = {}
        self.steps = -1
        self.last = None
        self.writer = None
        self.path = save
        self.ranks = parallel.world()
        if save is not None:
            from wgf.record.store import Writer

            self.writer = self.ranks.on_first(
                lambda: Writer(
                    save,
                    problem=problem,
                    target=target,
                    abscissa=abscissa,
                    overwrite=overwrite,
                    resume=resume,
                    notes=provenance.kept_features(stepper),
                )
            )

    def continued(self, stepper, method, flow):
        """Take over the stored run and return the stepper in its last state.

        A run that was killed before its first snapshot goes on with `stepper`, at the start.
        """
        from wgf.record.store import open_run

        if not self.ranks.on_first(lambda: self.writer.entries, everywhere=True):
            return stepper
        try:
            run = open_run(self.path)
            for key, value in self.solution.problem.items():
                if run.problem.get(key) != value:
                    raise checks.InputError(
                        f"resume: the {key} of the stored run was {run.problem.get(key)}, now it "
                        f"is {value}, give the same problem or another directory"
                    )
            stepper = method.prepare(flow, run.final)
            stepper.restore(run.restart())
        except KeyError as error:
            self._release()
            raise checks.InputError(
                f"resume: the last snapshot of {run.path} does not hold {error}, which this "
                "method needs to go on, run again"
            ) from None
        except BaseException:
            self._release()
            raise
        solution = self.solution
        solution.times, solution.outputs = run.times, run.outputs
        solution.diagnostics = run.diagnostics
        if self.ranks.everywhere:
            solution.snapshots = list(run.snapshots)
        self.steps = len(run.diagnostics["t"]) - 1
        self.last = {name: float(column[-1]) for name, column in run.diagnostics.items()}
        return stepper

    def _release(self):
        if self.writer is not None:
            self.writer.release()

    def row(self, row):
        """Keep a row after adding the residual of the energy identity up to it."""
        before = self.last
        row["residual"] = 0.0
        if before is not None:
            # what falls with momentum is not the objective
            energy = "lyapunov" if "lyapunov" in row else "objective"
            change = row[energy] - before[energy]
            row["residual"] = before["residual"] + (change + row["dt"] * row["dissipation"])
        self.last = dict(row)
        for name, value in row.items():
            self.rows.setdefault(name, []).append(float(value))
        self.steps += 1

    def snapshot(self, stepper):
        measure, output = stepper.measure, stepper.output
        output = None if output is None else np.array(output)
        if self.path is not None:
            restart = stepper.restart()
            self.ranks.on_first(
                lambda: self.writer.write(
                    self.steps, stepper.time, measure, output, self.rows, restart
                ),
                sent=getattr(measure, "stream", None),
            )
        self.solution.append(stepper.time, measure, output, self.rows)
        if not self.ranks.everywhere:
            self.solution.snapshots = []
        self.rows = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and self.writer is not None:
            self.writer.close("failed")
        elif kind is None:
            if self.path is not None:
                self.ranks.on_first(lambda: self.writer.close(self.solution.status))
            if not self.ranks.everywhere:
                self.solution.snapshots = _Stored(self.path)
            if self.ranks.rank == 0:
                warn_of_walls(self.solution)
        return False
