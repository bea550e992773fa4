"""The one driver: a flow, a start, a method, and what to keep of the run."""

from __future__ import annotations

import decimal
import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wgf import checks, parallel
from wgf.flows import HeavyBall
from wgf.measures.base import Measure
from wgf.parallel.threads import one_library_thread
from wgf.record.observables import Observables
from wgf.record.progress import Profile, reporter
from wgf.record.recorder import Recorder
from wgf.record.solution import Solution
from wgf.stepping import Method, defaults, require
from wgf.stepping.stop import State, Stationary, condition
from wgf.theory.separation import one_sided

# relative difference of times that is rounding
NEAR = 1e-12
# no state takes so long to settle; a step may be of any length below
LONGEST = 1e12
# fraction of the mass at a wall from which the box is said to be too small
WALL_FRACTION = 1e-8
# where the built-in methods for a kind of measure register themselves
METHODS = {"density": "wgf.eulerian", "particles": "wgf.lagrangian"}


def default_method(flow: Any, start: Measure) -> Method:
    """Return the method that `solve` takes when none is given."""
    checks.instance("start", start, Measure)
    importlib.import_module(METHODS[start.kind])
    return defaults.default_method(flow, start)


def output_times(
    until: float | str,
    every: float | None = None,
    at: Any = None,
    names: tuple[str, str] = ("every", "at"),
) -> np.ndarray:
    """Return the increasing times at which snapshots are taken, 0 first and `until` last.

    `names` are those that messages call `every` and `at`.
    """
    if isinstance(until, str) and until == "stationary":
        if every is not None or at is not None:
            raise checks.InputError(
                f"until: 'stationary' does not go with snapshots at given times "
                f"({names[at is not None]}), leave them out"
            )
        return np.array([0.0, LONGEST])
    until = float(checks.number("until", until, above=0))
    if every is not None and at is not None:
        raise checks.InputError(f"every: {every!r} and at are both given, give one of them")
    if at is not None:
        times = checks.array(names[1], at, dimensions=(1,))
        if len(times) and (times.min() < 0 or times.max() > until * (1 + NEAR)):
            worst = times.min() if times.min() < 0 else times.max()
            raise checks.InputError(
                f"{names[1]}: {worst:g} lies outside [0, {until:g}], leave it out"
            )
    elif every is not None:
        every = checks.number(names[0], every, above=0)
        with np.errstate(over="ignore"):
            count = np.floor(np.float64(until) / every * (1 + NEAR))
        if count > 10**6:
            raise checks.InputError(
                f"{names[0]}: {every:g} asks for {count:g} times until {until:g}, give a longer one"
            )
        times = multiples(every, int(count))
    else:
        times = np.zeros(0)
    # times that rounding put next to the start or the end are these
    inside = (times > until * NEAR) & (times < until * (1 - NEAR))
    return np.concatenate([[0.0], distinct(times[inside], until), [until]])


def multiples(every: float, count: int) -> np.ndarray:
    """Return ``every, 2 every, …``: those of the decimal number if `every` is a short one.

    Three times 0.1 then is 0.3, as a user writes it who ends a run there.
    """
    exact = decimal.Decimal(repr(every))
    if len(exact.as_tuple().digits) > 15:
        return every * np.arange(1, count + 1)
    return np.array([float(exact * k) for k in range(1, count + 1)])


def distinct(times: np.ndarray, until: float) -> np.ndarray:
    """Return the times in order, one of those that differ by rounding: the shortest in print."""
    times = np.sort(times)
    groups = np.split(times, np.flatnonzero(np.diff(times) > NEAR * until) + 1)
    return np.array(
        [min(group, key=lambda t: len(repr(float(t)))) for group in groups if len(group)]
    )


def observables(until: float | str, observe: Any = None, observe_every: Any = None) -> Observables:
    """Return the observables of a run with the times at which they are evaluated."""
    if observe_every is None:
        return Observables(observe)
    given = {"at" if np.ndim(observe_every) else "every": observe_every}
    return Observables(observe, output_times(until, **given, names=("observe_every",) * 2))


def check(
    flow: Any,
    start: Measure,
    until: float | str,
    every: float | None = None,
    at: Any = None,
    method: Method | None = None,
    stop: Any = None,
    tolerance: float = 1e-9,
    gap: float = np.inf,
    observe: Any = None,
    observe_every: Any = None,
) -> Method:
    """Refuse what `solve` would refuse, as far as nothing has to be built for it.

    Returns
    -------
    Method
        The one given, or the default.
    """
    output_times(until, every, at)
    observables(until, observe, observe_every)
    _conditions(flow, start, until, stop, tolerance, gap)
    if method is None:
        method = default_method(flow, start)
    elif isinstance(method, type) or not isinstance(method, Method):
        raise checks.InputTypeError(
            f"method: {method!r} is not a method, give for example wgf.FiniteVolume()"
        )
    require(method, flow, start)
    return method


def _conditions(flow, start, until, stop, tolerance, gap):
    """Return the conditions that end a run before the last of its times."""
    found = []
    if isinstance(until, str):
        if isinstance(flow, HeavyBall):
            raise checks.InputError(
                "until: 'stationary' has no meaning with momentum, which carries through states "
                "without dissipation, give a time"
            )
        found.append(Stationary(tolerance, gap))
    if stop is not None:
        found.insert(0, condition(stop))
        with np.errstate(all="ignore"):
            found[0].prepare(flow, start)
    return found


def solve(
    flow: Any,
    start: Measure,
    until: float | str,
    every: float | None = None,
    at: Any = None,
    method: Method | None = None,
    save: Any = None,
    overwrite: bool = False,
    stop: Any = None,
    progress: bool | Callable[[dict[str, float]], Any] | None = None,
    resume: bool = False,
    tolerance: float = 1e-9,
    gap: float = np.inf,
    profile: Profile | None = None,
    observe: dict[str, Callable[[Measure, float], Any]] | None = None,
    observe_every: Any = None,
) -> Solution:
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
    observe : dict of callables, optional
        Functions ``f(measure, t)`` by name; the number or small array that each returns is a
        column of `Solution.diagnostics`, in memory and on the disk, and an entry of the rows that
        `stop` and `progress` are given.
    observe_every : float or array of times, optional
        Time between the evaluations of the observables, or their times, on which steps land; the
        rows in between hold NaN. By default they are evaluated at the start and after every step.

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
        For NaN or a step that shrinks to nothing, and for an observable that raises, returns NaN
        or changes its shape; snapshots written before are kept.

    Notes
    -----
    Under MPI all ranks call this with the same arguments and share the work; the numbers are
    those of one process, to the bit. Rank 0 alone writes, observes, shows progress and heeds
    `stop`. Every rank returns the whole solution; with `save` its snapshots are read from the disk.
    """
    if progress is not None and progress is not True and not callable(progress):
        raise checks.InputTypeError(f"progress: {progress!r} cannot be called, give a function")
    if resume and (save is None or overwrite):
        raise checks.InputError(
            f"resume: save={save!r} and overwrite={overwrite} do not go with it, give the "
            "directory of the run to continue"
        )
    method = check(flow, start, until, every, at, method, stop, tolerance, gap)
    times = output_times(until, every, at)
    observed = observables(until, observe, observe_every)
    conditions = _conditions(flow, start, until, stop, tolerance, gap)
    profile = Profile() if profile is None else profile
    world = parallel.world()
    # a condition on the measure needs it on every rank, and what observes it all of it
    looks = bool(observed.names) or any(each.looks for each in conditions)
    world = world.keeping(world.size == 1 or save is None or looks)
    # an overflow shows in the objective, which a sentence reports
    with one_library_thread(), np.errstate(all="ignore"):
        recorder = Recorder(flow, start, method, world, save, overwrite, resume, observed.names)
        measure = recorder.stored() if resume else start
        try:
            with profile("prepare"):
                stepper = _prepared(method, flow, measure, world)
            if recorder.run is None:
                observed.begin(stepper, world)
        except BaseException:
            recorder.release()
            raise
        if not resume:
            _warn_of_support(flow, start)
        recorder.begin(stepper)
        if recorder.run is not None:
            observed.resume(recorder.solution.diagnostics)
        # rank 0 alone shows progress
        show = None if world.rank > 0 else reporter(times[-1]) if progress is True else progress
        with recorder:
            parts = conditions, world, recorder.steps, profile, observed
            for state in _states(flow, stepper, times, *parts):
                with profile("store"):
                    recorder.row(state.row)
                    if show is not None:
                        show(state.row)
                    if state.snapshot:
                        recorder.snapshot(stepper)
                recorder.solution.status = state.status
        if world.rank == 0:
            warn_of_walls(recorder.solution)
    return recorder.solution


def iterate(
    flow: Any,
    start: Measure,
    until: float | str | None = None,
    every: float | None = None,
    at: Any = None,
    method: Method | None = None,
    stop: Any = None,
    tolerance: float = 1e-9,
    gap: float = np.inf,
) -> Iterator[State]:
    """Yield the state of a run at the start and after every step, for a loop of your own.

    Parameters
    ----------
    flow, start, every, at, method, stop, tolerance, gap
        As for `solve`.
    until : float or "stationary", optional
        End time; without one the loop goes on until it is left.

    Yields
    ------
    State
        With `time`, `measure` (a copy, made when it is asked for) and `row`; it unpacks into
        these three. `snapshot` says whether an output time was reached.

    Examples
    --------
    >>> import wgf
    >>> flow = wgf.GradientFlow(wgf.Ridge(1.0))
    >>> start = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-2, 2, 16)), 0.5, 0.4)
    >>> for time, measure, row in wgf.iterate(flow, start):
    ...     if row["objective"] < 0.1:
    ...         break
    >>> bool(measure.mean()[0] < 0.5)
    True
    """
    until = LONGEST if until is None else until
    method = check(flow, start, until, every, at, method, stop, tolerance, gap)
    times = output_times(until, every, at)
    conditions = _conditions(flow, start, until, stop, tolerance, gap)
    world = parallel.world()
    with one_library_thread(), np.errstate(all="ignore"):
        stepper = _prepared(method, flow, start, world)
        _warn_of_support(flow, start)
    yield from _states(flow, stepper, times, conditions, world)


def _prepared(method, flow, start, world):
    """Return a stepper at the start, where the objective is finite."""
    stepper = method.prepare(flow, start, world)
    if not np.isfinite(stepper.row["objective"]):
        raise checks.InputError(
            f"start: the objective is {stepper.row['objective']} there, check the features"
        )
    return stepper


def _states(flow, stepper, times, conditions, world, steps=-1, profile=None, observed=None):
    """Yield the state at the start of a new run and after every step, until the run ends."""
    profile = Profile() if profile is None else profile
    observed = Observables() if observed is None else observed
    for each in conditions:
        each.begin(stepper.row)
    if steps < 0:
        steps = 0
        state = State(stepper, flow, steps)
        state.snapshot, state.observed = True, observed.row(stepper, world, True)
        yield state
    marks = observed.marks(times)
    for target in (mark for mark in marks if mark > stepper.time * (1 + NEAR)):
        while stepper.time < target:
            left = target - stepper.time
            if target == LONGEST:
                # steppers measure a step too small by what they were allowed
                left = min(left, max(1e3, 10 * stepper.time))
            with one_library_thread(), profile("step"), np.errstate(all="ignore"):
                stepper.advance(left)
            if abs(stepper.time - target) <= 1e-14 * target:
                stepper.land(float(target))
            steps += 1
            state = State(stepper, flow, steps)
            state.snapshot, due = marks[target] if stepper.time >= target else (False, False)
            if observed.names:
                with profile("observe"):
                    state.observed = observed.row(stepper, world, due)
            for each in conditions:
                if world.broadcast(each.holds(state)):
                    state.snapshot, state.status = True, each.status
                    yield state
                    return
            if stepper.time >= times[-1]:
                state.status = "done"
            yield state


def _warn_of_support(flow, start):
    trouble = one_sided(flow, start)
    if trouble:
        warnings.warn(
            f"start: {trouble}, the flow may end in a local minimum, spread the start round 0",
            checks.StartWarning,
            stacklevel=3,
        )


def warn_of_walls(solution: Solution) -> None:
    """Warn of walls that the start kept away from and the flow reached.

    Walls that the start already touches are taken for walls of the problem.
    """
    columns = solution.diagnostics
    for name in solution.problem["axes"]:
        wall = columns.get(f"wall_{name}")
        if wall is None:
            continue
        share = wall / columns["mass"]
        if share[0] <= WALL_FRACTION < share.max():
            held = columns[f"blocked_{name}"].max()
            told = f", which held back up to {held:.2g} a unit of time" if held > 0 else ""
            warnings.warn(
                f"box: {share.max():.2g} of the mass reached the walls of {name}{told}, enlarge "
                "the axis",
                checks.BoxWarning,
                stacklevel=3,
            )
